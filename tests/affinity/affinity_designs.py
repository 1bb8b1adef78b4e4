import itertools

import numpy as np


def uniform_design(rng, n, size, m):
    """Subsets of one size, uniform and independent."""
    membership = np.zeros((m, n), dtype=bool)
    for row in membership:
        row[rng.choice(n, size, replace=False)] = True
    return membership


def all_subsets(n, size):
    return np.array([[task in s for task in range(n)] for s in itertools.combinations(range(n), size)])


def inside_only(membership, values):
    return np.where(membership, values, np.nan)


def off_diagonal(n):
    return ~np.eye(n, dtype=bool)
