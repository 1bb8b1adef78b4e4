"""Which subsets to train next, for tasks that are still to be placed among groups (Procedure 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune.affinity.subsets import grow_subset

Labels = NDArray[np.intp]
Array = NDArray[np.float64]

_ASKED = 2.0
"""What asking for a group once more takes off its evidence within a round, so that rounds look around."""


def new_tasks_per_subset(size: int) -> int:
    """Return how many unplaced tasks a subset should hold beside members of one group.

    With q of them a run tests q tasks at once, each by the share (size - q) / (size - 1) of the group in its
    company; q (size - q)^2, tests times signal squared, is largest at a third of the size.
    """
    return max(1, round(size / 3))


@dataclass
class SubsetDesign:
    """Choose subsets that each hold unplaced tasks and members of one group.

    Parameters
    ----------
    met : ndarray of int, shape (n, n)
        How often every pair was in a run; kept up to date by the caller's own array being written to.
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
        blocked = np.iinfo(np.int32).max
        np.fill_diagonal(local, blocked)
        for _ in range(count):
            chosen = np.array(grow_subset(local, min(self.size, len(tasks)), self.rng))
            local[np.ix_(chosen, chosen)] += 1
            np.fill_diagonal(local, blocked)
            subsets.append(self._note(tasks[chosen]))
        return subsets

    def place(self, open_tasks: Labels, labels: Labels, evidence: Array, count: int) -> list[Labels]:
        """Return subsets that test open tasks against the groups they most likely belong to.

        Parameters
        ----------
        open_tasks : ndarray of shape (t,)
            Tasks to be placed; every subset holds at least one.
        labels : ndarray of shape (n,)
            The groups so far, also of the open tasks.
        evidence : ndarray of shape (t, k + 1)
            Log-evidence of each group for each of them, a group of its own in the last column. Where nothing
            was measured it is 0: above what speaks against a group, below what speaks for one.
        count : int
            Number of subsets.
        """
        want = evidence + 1e-3 * self.rng.random(evidence.shape)
        asked = np.zeros(len(open_tasks))
        subsets = []
        for _ in range(count):
            at = int(np.argmin(asked + 0.5 * self.rng.random(len(asked))))
            group, company = self._company(open_tasks[at], labels, want[at], open_tasks, want)
            others = self._fellows(at, group, company, open_tasks, want, asked)
            members = self._least_met(company, open_tasks[at], self.size - 1 - len(others))
            tested = np.r_[at, others].astype(np.intp)
            asked[tested] += 1.0
            want[tested, group] -= _ASKED
            subsets.append(self._note(np.r_[open_tasks[tested], members]))
        return subsets

    def _company(
        self, task: int, labels: Labels, want: Array, open_tasks: Labels, all_wants: Array
    ) -> tuple[int, Labels]:
        """Return the group most in question for a task, and who can stand for it."""
        k = len(want) - 1
        for group in np.argsort(-want):
            if group < k:
                members = np.flatnonzero(labels == group)
            else:
                # No group suits it: others whom none suits may be its group.
                members = open_tasks[all_wants.argmax(1) == k]
            members = members[members != task]
            if len(members):
                return int(group), members
        return k, open_tasks[open_tasks != task]

    def _fellows(
        self, at: int, group: int, company: Labels, open_tasks: Labels, want: Array, asked: Array
    ) -> Labels:
        """Return positions of other open tasks to test in the same run: those that want the group most."""
        space = max(new_tasks_per_subset(self.size) - 1, self.size - 1 - len(company))
        others = np.flatnonzero(~np.isin(open_tasks, company) & (np.arange(len(open_tasks)) != at))
        shortfall = want[others].max(1) - want[others, group] + _ASKED * asked[others]
        return np.asarray(others[np.argsort(shortfall, kind="stable")[:space]], dtype=np.intp)

    def _least_met(self, company: Labels, task: int, count: int) -> Labels:
        """Return members of the group whom the task has met least, the least trained first."""
        busy = np.diag(self.met)[company]
        load = self.met[company, task] + 0.1 * busy / max(int(busy.max(initial=0)), 1)
        order = np.argsort(load + 0.01 * self.rng.random(len(company)), kind="stable")
        return np.asarray(company[order[:count]], dtype=np.intp)

    def _note(self, subset: Labels) -> Labels:
        subset = np.sort(subset)
        self.met[np.ix_(subset, subset)] += 1
        return subset
