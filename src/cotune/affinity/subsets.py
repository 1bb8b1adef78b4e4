"""Which subsets of tasks to train: small designs that cover every pair, evenly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cotune.exceptions import InputError

_NEVER = np.iinfo(np.int32).max
"""Stands on the diagonal of the meeting counts, so that no task is ever paired with itself."""


def cover_pairs(n: int, size: int, m: int | None = None, seed: int = 0) -> NDArray[np.int64]:
    """Sample subsets of tasks so that every pair meets at least once and all pairs about equally often.

    A random covering design, built greedily: each subset starts from a pair that has met least and grows by
    the task that has met the chosen ones least, ties broken at random. Uniform sampling (as in the
    paper) needs about log(n) times as many subsets to meet every pair once.

    Parameters
    ----------
    n : int
        Number of tasks.
    size : int
        Tasks in a subset (the paper's alpha), at most n.
    m : int, optional
        Number of subsets. By default as many as the design needs to cover every pair.
    seed : int
        The same seed gives the same design, and a longer design begins with the shorter.

    Returns
    -------
    ndarray of int64, shape (m, size)
        Task indices, ascending within a subset; no subset twice.

    Raises
    ------
    InputError
        If ``size`` is not between 2 and n, ``m`` subsets do not suffice to cover every pair, or there are not
        so many subsets.
    """
    return _covering(n, size, m, seed).copy()


@lru_cache(maxsize=8)
def _covering(n: int, size: int, m: int | None, seed: int) -> NDArray[np.int64]:
    """Return the design, made once: a command asks for it again whenever it looks at its runs."""
    if not 2 <= size <= n:
        raise InputError(f"The subset size must be between 2 and the number of tasks {n}, got {size}.")
    possible = math.comb(n, size)
    if m is not None and m > possible:
        raise InputError(f"There are only {possible} subsets of {size} out of {n} tasks, {m} were asked for.")
    if m == possible:
        return np.array(list(itertools.combinations(range(n), size)), dtype=np.int64)
    rng = np.random.default_rng(seed)
    met = np.zeros((n, n), dtype=np.int64)
    np.fill_diagonal(met, _NEVER)
    subsets: dict[tuple[int, ...], None] = {}
    while len(subsets) < m if m is not None else met.min() == 0:
        subset = _next_subset(met, size, rng, subsets)
        members = np.array(subset)
        met[members[:, None], members] += 1
        met[members, members] = _NEVER
        subsets[subset] = None
    if met.min() == 0:
        needed = len(cover_pairs(n, size, None, seed))
        raise InputError(
            f"{m} subsets of {size} tasks cannot let every pair of {n} tasks meet; use at least {needed} "
            f"subsets (the design's need; no design does with fewer than {fewest_covering(n, size)})."
        )
    return np.array(list(subsets), dtype=np.int64)


def spread_tasks(n: int, size: int, m: int, seed: int = 0) -> NDArray[np.int64]:
    """Sample subsets in which every task is equally often, fewer than let every pair meet.

    Each subset takes the tasks used least, those of them that have met the chosen ones least, ties broken at
    random.

    Parameters
    ----------
    n : int
        Number of tasks.
    size : int
        Tasks in a subset, at most n.
    m : int
        Number of subsets.
    seed : int
        The same seed gives the same subsets, and more begin with the fewer.

    Returns
    -------
    ndarray of int64, shape (m, size)
        Task indices, ascending within a subset; numbers of subsets with a task differ by at most one.

    Raises
    ------
    InputError
        If ``size`` is not between 1 and n, or m is below 1.
    """
    if not 1 <= size <= n:
        raise InputError(f"The subset size must be between 1 and the number of tasks {n}, got {size}.")
    if m < 1:
        raise InputError(f"The number of subsets must be at least 1, got {m}.")
    rng = np.random.default_rng(seed)
    used, met = np.zeros(n, dtype=np.int64), np.zeros((n, n), dtype=np.int64)
    subsets = np.empty((m, size), dtype=np.int64)
    for subset in subsets:
        chosen: list[int] = []
        is_free, load = np.ones(n, dtype=bool), np.zeros(n, dtype=np.int64)
        while len(chosen) < size:
            free = np.flatnonzero(is_free)
            order = np.lexsort((rng.random(len(free)), load[free], used[free]))
            task = int(free[order[0]])
            chosen.append(task)
            is_free[task] = False
            load += met[task]
        used[chosen] += 1
        met[np.ix_(chosen, chosen)] += 1
        subset[:] = sorted(chosen)
    return subsets


def _next_subset(
    met: NDArray[np.int64], size: int, rng: np.random.Generator, taken: Container[tuple[int, ...]]
) -> tuple[int, ...]:
    """Draw the next subset, never one twice: a repeated subset would be the same run."""
    for _ in range(20):
        subset = grow_subset(met, size, rng)
        if subset not in taken:
            return subset
    while True:
        subset = tuple(sorted(int(i) for i in rng.choice(len(met), size, replace=False)))
        if subset not in taken:
            return subset


def grow_subset(met: NDArray[np.int64], size: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Grow one subset from a least-met pair, each time by the task that has met the chosen ones least."""
    lowest = met.min()
    # Ten thousand subsets are grown: pairs are looked for as one row of numbers, each once.
    pairs = np.flatnonzero(((met == lowest) & _once(len(met))).ravel())
    subset = list(divmod(int(pairs[rng.integers(len(pairs))]), len(met)))

    def cost(task: int) -> NDArray[np.float64]:
        # A meeting repeated more often weighs more, so that one pair never runs ahead of the rest.
        return np.asarray(2.0 ** np.minimum(met[:, task] - lowest, 30))

    load = cost(subset[0]) + cost(subset[1])
    load[subset] = np.inf
    while len(subset) < size:
        best = np.flatnonzero(load <= load.min() + 1e-9)
        task = int(best[rng.integers(len(best))])
        subset.append(task)
        load += cost(task)
        load[task] = np.inf
    return tuple(sorted(subset))


@lru_cache(maxsize=8)
def _once(n: int) -> NDArray[np.bool_]:
    """Return where a matrix of pairs has each pair once."""
    return np.triu(np.ones((n, n), dtype=bool), 1)


def fewest_covering(n: int, size: int) -> int:
    """Return Schoenheim's lower bound on the subsets of so many tasks that let every pair meet."""
    return math.ceil(n / size * math.ceil((n - 1) / (size - 1)))
