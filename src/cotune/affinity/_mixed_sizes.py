"""Subsets of many sizes at a given cost: what company does in a pair, in a quarter, in half, in all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from cotune.exceptions import InputError

_REPLICATES = 2
"""Times that all tasks are divided into halves, and into quarters."""
_TRIES = 20
"""Random divisions of which the one is taken that lets pairs meet most evenly."""
_LISTED_UP_TO = 20_000
"""Subsets of one size up to which all are looked at, once every pair was run."""

Member = tuple[int, ...]


def mixed_sizes(n: int, cost: int, seed: int = 0) -> list[Member]:
    """Choose subsets of two tasks, of a quarter, of half and of all, so that gains in any group can be told.

    All tasks together; then all tasks divided into halves twice, and into quarters twice; and for the rest of
    the cost pairs, in rounds in which every task has another partner. Where every pair was run, what is left
    goes to larger subsets. Every task is in about as many subsets as any other, no subset comes twice, and
    single tasks are not among them.

    Parameters
    ----------
    n : int
        Number of tasks, at least 2.
    cost : int
        Sum of the sizes of the subsets: a run of s tasks takes the steps of s runs of one. As much of it is
        spent as subsets allow, and never more, but for all tasks together.
    seed : int
        The same seed gives the same subsets.

    Returns
    -------
    list of tuple of int
        Task numbers, ascending within a subset.

    Raises
    ------
    InputError
        If there are not two tasks, or not even all together can be paid.
    """
    if n < 2:
        raise InputError(f"A design of subsets needs at least two tasks, got {n}.")
    if cost < n:
        raise InputError(f"The cost of a design must be at least that of all {n} tasks together, got {cost}.")
    rng = np.random.default_rng(seed)
    design = _Design(n, cost)
    design.add(tuple(range(n)))
    for parts in (2, 4):
        if n // parts >= 2:
            for _ in range(_REPLICATES):
                design.add_all(_division(design, parts, rng))
    for pair in _pairs_in_rounds(n, rng):
        design.add(pair)
    for size in range(3, n):
        _fill(design, size, rng)
    return list(design.subsets)


class _Design:
    """Subsets taken so far, what is left of the cost, and who met whom."""

    def __init__(self, n: int, cost: int) -> None:
        self.n, self.left = n, cost
        self.subsets: dict[Member, None] = {}
        self.used = np.zeros(n, dtype=np.int64)
        self.met = np.zeros((n, n), dtype=np.int64)

    def add(self, subset: Member) -> None:
        """Take a subset, if it is new and can be paid."""
        if subset in self.subsets or len(subset) > self.left:
            return
        self.subsets[subset] = None
        self.left -= len(subset)
        if len(subset) < self.n:
            self.used[list(subset)] += 1
            self.met[np.ix_(subset, subset)] += 1

    def add_all(self, subsets: list[Member]) -> None:
        """Take subsets that belong together, if all can be paid."""
        if sum(map(len, subsets)) <= self.left:
            for subset in subsets:
                self.add(subset)


def _division(design: _Design, parts: int, rng: np.random.Generator) -> list[Member]:
    """Divide all tasks into parts of one size, more or less, in which those are together that met least."""
    best: tuple[int, list[Member]] | None = None
    for _ in range(_TRIES):
        blocks = [tuple(sorted(b.tolist())) for b in np.array_split(rng.permutation(design.n), parts)]
        if any(block in design.subsets for block in blocks):
            continue
        met = int(sum(design.met[np.ix_(block, block)].sum() for block in blocks))
        if best is None or met < best[0]:
            best = (met, blocks)
    return best[1] if best else []


def _pairs_in_rounds(n: int, rng: np.random.Generator) -> Iterator[Member]:
    """All pairs in rounds in which every task is once, by the circle method; of odd numbers one pauses."""
    seats = n + n % 2
    names = rng.permutation(n)
    for turn in rng.permutation(seats - 1):
        for i in range(seats // 2):
            a, b = (seats - 1, turn) if i == 0 else ((turn + i) % (seats - 1), (turn - i) % (seats - 1))
            if max(a, b) < n:
                first, second = sorted((int(names[a]), int(names[b])))
                yield first, second


def _fill(design: _Design, size: int, rng: np.random.Generator) -> None:
    """Spend what is left on subsets of a size, each time on the tasks used least that met least."""
    total = math.comb(design.n, size)
    if design.left < size or total > _LISTED_UP_TO:
        return
    subsets = np.array(list(itertools.combinations(range(design.n), size)), dtype=np.int64)
    free = np.array([tuple(subset) not in design.subsets for subset in subsets.tolist()])
    while design.left >= size and free.any():
        pairs = [design.met[subsets[:, a], subsets[:, b]] for a, b in itertools.combinations(range(size), 2)]
        order = np.lexsort(
            (rng.random(total), (np.array(pairs) ** 2).sum(0), design.used[subsets].sum(1), ~free)
        )
        design.add(tuple(subsets[order[0]].tolist()))
        free[order[0]] = False
