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
        rows = np.searchsorted(belief.tasks, open_tasks)
        unknown = _entropy(belief.together[rows])
        unknown += 1e-3 * self.rng.random(unknown.shape) - 1e-2 * np.minimum(self.met[open_tasks], 10) / 10
        unknown[np.arange(len(open_tasks)), open_tasks] = -1.0
        asked = np.zeros(len(open_tasks))
        subsets = []
        for _ in range(count):
            at = int(np.argmin(asked - 0.5 * unknown.max(1)))
            chosen = self._around(at, unknown, labels, open_tasks)
            tested = np.flatnonzero(np.isin(open_tasks, chosen))
            asked[tested] += 1.0
            unknown[np.ix_(tested, chosen)] *= _ASKED_BEFORE
            subsets.append(self._note(chosen))
        return subsets

    def _around(self, at: int, unknown: Array, labels: Labels, open_tasks: Labels) -> Labels:
        """Return an open task, members of the group most in question for it, and others open to them."""
        task = open_tasks[at]
        group = labels[int(unknown[at].argmax())]
        members = np.flatnonzero((labels == group) & (np.arange(len(labels)) != task))
        others = np.flatnonzero((labels[open_tasks] != group) & (open_tasks != task))
        space = max(open_per_subset(self.size) - 1, self.size - 1 - len(members))
        worth = unknown[np.ix_(others, members)].mean(1) + unknown[others, task]
        fellows = open_tasks[others[np.argsort(-worth, kind="stable")[:space]]]
        company = members[np.argsort(-unknown[at, members], kind="stable")[: self.size - 1 - len(fellows)]]
        return np.asarray(np.r_[task, fellows, company], dtype=np.intp)

    def _note(self, subset: Labels) -> Labels:
        subset = np.sort(subset)
        self.met[np.ix_(subset, subset)] += 1
        return subset


def _entropy(p: Array) -> Array:
    """Entropy in bits of whether each pair is together."""
    p = np.clip(p, 1e-9, 1.0 - 1e-9)
    return np.asarray(-p * np.log2(p) - (1.0 - p) * np.log2(1.0 - p))
