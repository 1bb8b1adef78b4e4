"""Which subsets to train next, for tasks that are still to be placed among groups (Procedure 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune.affinity._belief import Belief
from cotune.affinity._entries import Array, Labels
from cotune.affinity.subsets import grow_subset

_ASKED_BEFORE = 0.4
"""What a pair's uncertainty counts when a run of the same round tests it already."""
_BUSY = 0.25
"""Bits by which a task is less wanted in a subset for each run of the round that it is in already."""
_CANDIDATES = 64
"""How many of the tasks about which a task knows least may come into its subset."""


def open_per_subset(size: int) -> int:
    """Return how many open tasks a subset should hold; the others are of one group.

    A run with q open tasks tests q of them, each by the share (size - q) / (size - 1) of the group in its
    company, and less by what it adds to the group's own. Tests times signal squared changes little between a
    third of the size and two thirds; with signals well above the noise more tests are better.
    """
    return (size + 1) // 2


@dataclass
class SubsetDesign:
    """Choose subsets that each hold open tasks and members of one group.

    Parameters
    ----------
    met : ndarray of int, shape (n, n)
        How often every pair was in a run; what is chosen is added to it.
    size : int
        Tasks in a subset.
    rng : numpy.random.Generator
        For ties.
    """

    met: NDArray[np.int64]
    size: int
    rng: np.random.Generator

    def spread(self, tasks: Labels, count: int) -> list[Labels]:
        """Return subsets of these tasks alone in which all pairs meet about equally often."""
        subsets = []
        local = self.met[np.ix_(tasks, tasks)].copy()
        never = np.iinfo(np.int32).max
        np.fill_diagonal(local, never)
        for _ in range(count):
            chosen = np.array(grow_subset(local, min(self.size, len(tasks)), self.rng))
            local[np.ix_(chosen, chosen)] += 1
            np.fill_diagonal(local, never)
            subsets.append(self._note(tasks[chosen]))
        return subsets

    def place(self, belief: Belief, labels: Labels, open_tasks: Labels, count: int) -> list[Labels]:
        """Return subsets that test open tasks where it is least known whether they belong.

        Parameters
        ----------
        belief : Belief
            About the open tasks at least.
        labels : ndarray of shape (n,)
            The groups so far.
        open_tasks : ndarray of shape (t,)
            Tasks to be placed; every subset holds at least one.
        count : int
            Number of subsets.
        """
        n = len(labels)
        is_open = np.zeros(n, dtype=bool)
        is_open[open_tasks] = True
        unknown = self._unknown(belief, open_tasks, n)
        asked = np.zeros(n)
        subsets = []
        for _ in range(count):
            first = np.argmin(asked[open_tasks] - 0.5 * unknown[open_tasks].max(1))
            chosen = self._around(int(open_tasks[first]), unknown, asked, labels, is_open)
            asked[chosen] += 1.0
            unknown[np.ix_(chosen, chosen)] *= _ASKED_BEFORE
            subsets.append(self._note(chosen))
        return subsets

    def _unknown(self, belief: Belief, open_tasks: Labels, n: int) -> Array:
        """Entropy of whether each pair with an open task is together, less if they met; 0 for others."""
        rows = _entropy(belief.together[np.searchsorted(belief.tasks, open_tasks)])
        rows += 1e-3 * self.rng.random(rows.shape) - 1e-2 * np.minimum(self.met[open_tasks], 10) / 10
        unknown = np.zeros((n, n))
        unknown[open_tasks] = rows
        unknown[:, open_tasks] = np.maximum(unknown[:, open_tasks], rows.T)
        np.fill_diagonal(unknown, -1.0)
        return unknown

    def _around(
        self, task: int, unknown: Array, asked: Array, labels: Labels, is_open: NDArray[np.bool_]
    ) -> Labels:
        """Return an open task, two others of whose pairs least is known, and company for them."""
        value = unknown[task] - _BUSY * asked
        others = np.argsort(-value, kind="stable")[:_CANDIDATES]
        others = others[others != task]
        if self.size == 2 or len(others) < 2:
            return np.asarray(np.r_[task, others[:1]], dtype=np.intp)
        worth = value[others][:, None] + value[others] + unknown[np.ix_(others, others)]
        strangers = labels[others][:, None] != labels[others]
        worth[strangers & ~is_open[others] & ~is_open[others][:, None]] = -np.inf
        np.fill_diagonal(worth, -np.inf)
        pair = others[list(np.unravel_index(int(worth.argmax()), worth.shape))]
        return self._filled([task, *pair], unknown, labels, is_open)

    def _filled(
        self, chosen: list[int], unknown: Array, labels: Labels, is_open: NDArray[np.bool_]
    ) -> Labels:
        """Add open tasks, and then members of the group in question, up to the size."""
        groups = labels[[task for task in chosen if not is_open[task]] or chosen[1:2]]
        members = np.setdiff1d(np.flatnonzero(labels == groups[0]), chosen)
        space = self.size - len(chosen)
        tested = np.setdiff1d(np.flatnonzero(is_open & (labels != groups[0])), chosen)
        count = max(open_per_subset(self.size) - 2, space - len(members))
        for pool, most in ((tested, min(count, space)), (members, space)):
            worth = unknown[:, chosen].sum(1)[pool]
            best = pool[np.argsort(-worth, kind="stable")[: min(most, self.size - len(chosen))]]
            chosen = [*chosen, *map(int, best)]
        return np.array(chosen, dtype=np.intp)

    def _note(self, subset: Labels) -> Labels:
        subset = np.sort(subset)
        self.met[np.ix_(subset, subset)] += 1
        return subset


def _entropy(p: Array) -> Array:
    """Entropy in bits of whether each pair is together."""
    p = np.clip(p, 1e-9, 1.0 - 1e-9)
    return np.asarray(-p * np.log2(p) - (1.0 - p) * np.log2(1.0 - p))
