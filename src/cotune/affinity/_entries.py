"""Scores of runs as a list of (run, task) entries, centred by task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.affinity._runs import check_runs

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Entries:
    """Every score of a task in company; runs of one task say nothing about groups and are left out.

    Parameters
    ----------
    n_runs, n_tasks : int
        Runs of two tasks or more, and all tasks.
    run, task : ndarrays of shape (e,)
        Whose score, by run.
    score : ndarray of shape (e,)
        As measured.
    pace : ndarray of shape (n_runs,)
        1 / (|S| - 1): what one task more of the same group adds to the share of its company.
    weight : ndarray of shape (n_runs,)
        How often each run counts.
    y : ndarray of shape (e,)
        Scores less the task's weighted mean.
    count, square : ndarrays of shape (n_tasks,)
        Weighted number of scores and sum of y^2.
    """

    n_runs: int
    n_tasks: int
    run: Labels
    task: Labels
    score: Array
    pace: Array
    weight: Array
    y: Array
    count: Array
    square: Array

    @classmethod
    def of(cls, membership: ArrayLike, scores: ArrayLike) -> Self:
        """Read runs, shapes (m, n), or say what does not fit."""
        inside, f = check_runs(membership, scores)
        company = inside.sum(1) > 1
        inside, f = inside[company], f[company]
        run, task = inside.nonzero()
        pace = 1.0 / np.maximum(inside.sum(1) - 1.0, 1.0)
        return cls._weighted(inside.shape[1], run, task, f[inside], pace, np.ones(len(inside)))

    def resampled(self, weight: Array) -> Self:
        """Return the same runs counted otherwise; a bootstrap resample is a vector of counts."""
        return self._weighted(self.n_tasks, self.run, self.task, self.score, self.pace, weight)

    @classmethod
    def _weighted(cls, n: int, run: Labels, task: Labels, score: Array, pace: Array, weight: Array) -> Self:
        def by_task(values: Array) -> Array:
            return np.asarray(np.bincount(task, weight[run] * values, n), dtype=float)

        count = by_task(np.ones(len(run)))
        y = score - (by_task(score) / positive(count))[task]
        return cls(len(pace), n, run, task, score, pace, weight, y, count, by_task(y**2))

    def by_task(self, values: Array) -> Array:
        """Add values of the entries, weighted, over the runs of each task."""
        return np.asarray(np.bincount(self.task, self.weight[self.run] * values, self.n_tasks), dtype=float)

    def sums(self, share: Array) -> Array:
        """Sum x, x^2 and x y by task, shape (3, n_tasks), for the shares x of the entries."""
        return np.stack([self.by_task(share), self.by_task(share**2), self.by_task(share * self.y)])


def positive(values: Array) -> Array:
    """Return denominators with zeros, whose numerators are zero as well, replaced."""
    return np.where(values > 0, values, 1.0)
