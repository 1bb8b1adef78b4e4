"""The best partition of a few tasks for every number of groups at once, by dynamic programming over subsets.

f_j(S) = max over groups C with top(S) in C, C within S, of d(C) + f_{j-1}(S without C), where d is the
density of Eq. 1 and top(S) the last task of S: requiring it in C counts every partition once. Written for all
S with the same last task, this is a (max, +) convolution over subsets, 3^h sums for h earlier tasks, which
splits on any task into three convolutions over one task less.
:func:`exhaustive` enumerates partitions one by one and is the check of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.grouping._partition import Labels, Matrix, density_sum, first_appearance, symmetrised
from cotune.grouping._validation import check_square

MAX_TASKS = 20
"""2^n sets are stored for every number of groups, and 3^(n-1) sums computed."""

_LEAF = 9
"""Convolutions over so many tasks are done by one table look-up, larger ones are split."""


@dataclass(frozen=True, slots=True)
class ExactPartition(Brief):
    """An optimal partition.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Groups numbered by first appearance.
    objective : float
        Sum of the group densities (Eq. 3), the maximum over all partitions into as many groups.
    """

    labels: Labels
    objective: float


def exact_partitions(T: ArrayLike, k_max: int | None = None) -> dict[int, ExactPartition]:
    """Return the best partition into k groups for every k up to ``k_max``.

    Parameters
    ----------
    T : array-like of shape (n, n)
        Finite affinities, n at most ``MAX_TASKS``; only sym(T) matters.
    k_max : int, optional
        Largest number of groups, n unless given.

    Returns
    -------
    dict of int to ExactPartition
        Keys 1 to ``k_max``.

    Raises
    ------
    InputError
        If T is not a finite square matrix, has more than ``MAX_TASKS`` tasks, or ``k_max`` is not in 1..n.
    """
    S = symmetrised(check_square(T))
    n = len(S)
    if n > MAX_TASKS:
        raise InputError(
            f"Exact search takes at most {MAX_TASKS} tasks, got {n}; SDPClustering bounds the optimum "
            f"of larger problems."
        )
    k_max = n if k_max is None else k_max
    if not 1 <= k_max <= n:
        raise InputError(f"k_max must be from 1 to the number of tasks, {n}, got {k_max!r} instead.")
    density = subset_densities(S)
    layers = [density]  # layers[j - 1][S] = f_j(S)
    for _ in range(2, k_max):
        layers.append(_next_layer(density, layers[-1], n))
    return {k: _trace_back(S, density, layers, k) for k in range(1, k_max + 1)}


def subset_densities(S: Matrix) -> Matrix:
    """Density of every set of tasks, shape (2^n,), indexed by bit mask; -inf for the empty set."""
    n = len(S)
    total, count = np.zeros(1 << n), np.zeros(1 << n)
    for task in range(n):
        size = 1 << task
        reach = np.zeros(size)  # sum of T over the task and a set of earlier ones
        for earlier in range(task):
            half = 1 << earlier
            reach[half : 2 * half] = reach[:half] + S[task, earlier]
        total[size : 2 * size] = total[:size] + 2.0 * reach + S[task, task]
        count[size : 2 * size] = count[:size] + 1.0
    total[0], count[0] = -np.inf, 1.0
    return np.asarray(total / count)


def _next_layer(density: Matrix, previous: Matrix, n: int) -> Matrix:
    """f_j from f_{j-1}; sets with the last task of all are never needed below the top."""
    layer = np.full(1 << n, -np.inf)
    for task in range(n - 1):
        size = 1 << task
        layer[size : 2 * size] = _max_plus(density[size : 2 * size], previous[:size])
    return layer


def _max_plus(a: Matrix, b: Matrix) -> Matrix:
    """c[S] = max over C within S of a[C] + b[S without C]."""
    if len(a) > 1 << _LEAF:
        half = len(a) // 2
        low = _max_plus(a[:half], b[:half])
        high = np.maximum(_max_plus(a[half:], b[:half]), _max_plus(a[:half], b[half:]))
        return np.concatenate([low, high])
    inside, outside, start = _leaf_pairs(len(a).bit_length() - 1)
    return np.maximum.reduceat(a[inside] + b[outside], start)


@cache
def _leaf_pairs(tasks: int) -> tuple[Labels, Labels, Labels]:
    """All (C, S without C) with C within S, grouped by S, and where each S starts."""
    subsets = [_subsets(mask) for mask in range(1 << tasks)]
    inside = np.concatenate(subsets)
    outside = np.concatenate([mask ^ subset for mask, subset in enumerate(subsets)])
    start = np.cumsum([0, *(len(subset) for subset in subsets[:-1])])
    return inside, outside, start


def _trace_back(S: Matrix, density: Matrix, layers: list[Matrix], k: int) -> ExactPartition:
    labels = np.zeros(len(S), dtype=np.intp)
    rest = (1 << len(S)) - 1
    for group in range(k, 0, -1):
        chosen = rest
        if group > 1:
            top = 1 << (rest.bit_length() - 1)
            below = _subsets(rest ^ top)[:-1]  # all but the whole: something must be left
            value = density[top | below] + layers[group - 2][(rest ^ top) ^ below]
            chosen = top | int(below[int(value.argmax())])
        for task in range(len(S)):
            if chosen >> task & 1:
                labels[task] = group
        rest ^= chosen
    labels = first_appearance(labels)
    return ExactPartition(labels, density_sum(S, labels, k))


def _subsets(mask: int) -> Labels:
    """All subsets of a bit mask, ascending, the mask itself last."""
    subsets = np.zeros(1, dtype=np.intp)
    for task in range(mask.bit_length()):
        if mask >> task & 1:
            subsets = np.concatenate([subsets, subsets | (1 << task)])
    return subsets


def exhaustive(T: ArrayLike, n_clusters: int) -> ExactPartition:
    """Return the best partition by looking at every one: the verifier of the paper, for up to a dozen tasks.

    Parameters
    ----------
    T : array-like of shape (n, n)
        Finite affinities.
    n_clusters : int
        Number of groups, from 1 to n.

    Returns
    -------
    ExactPartition
        The first of the best in lexicographic order.

    Raises
    ------
    InputError
        If T is not a finite square matrix or ``n_clusters`` is not in 1..n.
    """
    S = symmetrised(check_square(T))
    if not 1 <= n_clusters <= len(S):
        raise InputError(
            f"n_clusters must be an integer from 1 to {len(S)}, the number of tasks, got {n_clusters!r}."
        )
    best = max(_partitions(len(S), n_clusters), key=lambda labels: density_sum(S, labels, n_clusters))
    return ExactPartition(best, density_sum(S, best, n_clusters))


def _partitions(n: int, k: int, prefix: tuple[int, ...] = ()) -> Iterator[Labels]:
    """All label vectors of length n in which groups 0..k-1 first appear in order, each once."""
    used = max(prefix, default=-1) + 1
    if len(prefix) == n:
        yield np.array(prefix, dtype=np.intp)
        return
    for group in range(min(used + 1, k)):
        still_new = k - max(used, group + 1)
        if still_new <= n - len(prefix) - 1:
            yield from _partitions(n, k, (*prefix, group))
