"""The prior over partitions: every k, then every multiset of sizes, then every partition of that shape alike.

Unlike a prior that draws labels task by task, it charges little for many groups of one size and for many
tasks that belong to none, and it has no parameter.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

from cotune.grouping._partition import Matrix


@lru_cache(maxsize=4)
def log_shapes(n: int) -> Matrix:
    """Log of the number of ways to write n as a sum of k positive integers, k = 0 to n."""
    ways = np.zeros(n + 1)  # of every total into k - 1 parts
    ways[0] = 1.0
    result = np.full(n + 1, -np.inf)
    for k in range(1, n + 1):
        shifted = np.concatenate([[0.0], ways[:-1]])
        rows = -(-(n + 1) // k)
        padded = np.zeros(rows * k)
        padded[: n + 1] = shifted
        ways = padded.reshape(rows, k).cumsum(axis=0).ravel()[: n + 1]  # p(t, k) = p(t-1, k-1) + p(t-k, k)
        result[k] = np.log(ways[n])
    return result


def log_prior(sizes: Matrix) -> float:
    """Log probability of a partition with groups of these sizes, shape (k,); one group is charged nothing."""
    k, n = len(sizes), int(sizes.sum())
    if k == 1:
        return 0.0
    repeats = np.bincount(sizes.astype(np.intp))[1:]
    same = float(gammaln(sizes + 1.0).sum() + gammaln(repeats + 1.0).sum())
    return same - float(gammaln(n + 1.0)) - float(log_shapes(n)[k]) - float(np.log(n))


def change(sizes: Matrix, removed: list[Matrix], added: list[Matrix]) -> Matrix:
    """Change of :func:`log_prior` when groups of some sizes are replaced by groups of others.

    Parameters
    ----------
    sizes : ndarray of shape (k,)
        Sizes now.
    removed, added : list of ndarray
        Sizes that go and come, integers of shapes that broadcast; 0 is no group.
    """
    n, k = int(sizes.sum()), len(sizes)
    repeats = np.bincount(sizes.astype(np.intp), minlength=2 * n + 2).astype(float)
    parts = [*np.broadcast_arrays(*removed, *added)]
    signs = [-1.0] * len(removed) + [1.0] * len(added)
    total = np.zeros(parts[0].shape)
    count = np.full(parts[0].shape, k)
    for part, sign in zip(parts, signs, strict=True):
        total += sign * gammaln(part + 1.0)
        count = count + (sign * (part > 0)).astype(np.intp)
        turn = sum(s * (p == part) for p, s in zip(parts, signs, strict=True))
        share = sum((p == part).astype(float) for p in parts)
        before = repeats[part]
        step = gammaln(np.maximum(before + turn, 0.0) + 1.0) - gammaln(before + 1.0)
        total += np.where(part > 0, step / share, 0.0)
    shapes = log_shapes(n)
    return np.asarray(total - shapes[np.clip(count, 1, n)] + shapes[k])
