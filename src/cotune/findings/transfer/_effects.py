"""Means of paired differences over tasks and seeds, and what they leave open."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from cotune._repr import Brief
from cotune.findings.comparison import CONFIDENCE, MeanWithMargin, margin_at
from cotune.findings.transfer._statistics import indices
from cotune.findings.wording import count, significant

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effect(Brief):
    """The mean of paired differences, for other tasks and other trainings.

    Parameters
    ----------
    mean : float
        Over all pairs.
    stderr_tasks : float
        Standard error over the tasks, whose differences are averaged first: for the claim on other tasks;
        NaN for a single task.
    stderr_seeds : float
        The same over the seeds: for the claim on other trainings; NaN for a single seed.
    n : int
        Number of pairs.
    margin : float
        Half width of the 95 % interval over both, each with its own quantile of t; NaN for a single task or
        a single seed, from which nothing follows for others.
    tasks, seeds : int
        How many of either.
    """

    mean: float
    stderr_tasks: float
    stderr_seeds: float
    n: int
    margin: float = math.nan
    tasks: int = 0
    seeds: int = 0

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of zero, 0 where it does not or is unknown."""
        if not abs(self.mean) > self.margin:
            return 0
        return 1 if self.mean > 0 else -1

    @property
    def text(self) -> str:
        """Mean and margin in words, with what the margin is made of."""
        if not math.isfinite(self.mean):
            return "unknown"
        known = ", ".join(
            f"{significant(error, 2)} over {count(n, what)}"
            for error, what, n in (
                (self.stderr_tasks, "task", self.tasks),
                (self.stderr_seeds, "seed", self.seeds),
            )
            if math.isfinite(error)
        )
        errors = f"standard error {known}" if known else ""
        if math.isfinite(self.margin):
            return f"{significant(self.mean, 3, signed=True)} ± {significant(self.margin, 2)} ({errors})"
        few = f"margin unknown with {count(self.tasks, 'task')} and {count(self.seeds, 'seed')}"
        return f"{significant(self.mean, 3, signed=True)} ({'; '.join(filter(None, (few, errors)))})"


def paired_effect(differences: ArrayLike, tasks: Sequence[Hashable], seeds: Sequence[Hashable]) -> Effect:
    """Average paired differences, with a margin that respects what the pairs have in common.

    The margin is that of comparisons of arms (:mod:`cotune.findings.comparison`), with tasks in the place of
    test examples: what one seed does on one task is in both standard errors, and counts once.

    Parameters
    ----------
    differences : array-like of shape (n,)
        With the treatment minus without it; what is NaN is left out.
    tasks, seeds : sequence of n hashable
        Which task and which seed each pair belongs to.
    """
    given = np.asarray(differences, dtype=float)
    known = np.isfinite(given)
    values = given[known]
    by_task, by_seed = (
        indices([one for one, there in zip(of, known, strict=True) if there]) for of in (tasks, seeds)
    )
    return _effect(
        values,
        (_stderr_of_means(values, by_task), int(by_task.max(initial=-1)) + 1),
        (_stderr_of_means(values, by_seed), int(by_seed.max(initial=-1)) + 1),
        _shared_variance(values, by_task, by_seed),
    )


def pairs_effect(matrices: ArrayLike, seeds: Sequence[Hashable]) -> Effect:
    """Average a quantity of pairs of tasks; the standard error over tasks leaves out one after the other.

    Pairs that share a task are no independent draws: the mean over n tasks moves with each of them twice as
    much as a mean of n values does.

    Parameters
    ----------
    matrices : array-like of shape (s, n, n)
        Of each run a symmetric matrix; NaN where a pair is unknown. Diagonals are passed over.
    seeds : sequence of s hashable
        Which seed each run belongs to.
    """
    cells = np.array(matrices, dtype=float)
    size = cells.shape[1]
    cells[:, np.arange(size), np.arange(size)] = np.nan
    without = [np.delete(np.delete(cells, task, 1), task, 2) for task in range(size)]
    leave_one_out = np.array([_mean(kept) for kept in without]) if size > 2 else np.empty(0)
    deviations = leave_one_out - leave_one_out.mean() if len(leave_one_out) else leave_one_out
    over_tasks = math.sqrt((size - 1) / size * float(deviations @ deviations)) if size > 2 else math.nan
    means = np.array([_mean(matrix) for matrix in cells])
    known = np.isfinite(means)
    index = indices([seed for seed, there in zip(seeds, known, strict=True) if there])
    return _effect(
        cells[:, *np.triu_indices(size, 1)].ravel(),
        (over_tasks, size),
        (_stderr_of_means(means[known], index), int(index.max(initial=-1)) + 1),
        0.0,
    )


def over_seeds(values: Sequence[float], seeds: Sequence[Hashable]) -> tuple[float, float]:
    """Return the mean of a task's values and the half width of its 95 % interval over trainings.

    Values of one seed are averaged first; the width is NaN with a single seed.
    """
    index = indices(seeds)
    found = np.asarray(values, dtype=float)
    error, n = _stderr_of_means(found, index), int(index.max(initial=-1)) + 1
    return float(found.mean()), float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * error if n > 1 else math.nan


def _effect(
    values: Values, over_tasks: tuple[float, int], over_seeds: tuple[float, int], shared: float
) -> Effect:
    known = values[np.isfinite(values)]
    (tasks_error, tasks), (seeds_error, seeds) = over_tasks, over_seeds
    found = MeanWithMargin(
        mean=float(known.mean()) if len(known) else math.nan,
        se_examples=tasks_error,
        se_seeds=seeds_error,
        se_shared=math.sqrt(shared),
        dof_examples=tasks - 1,
        dof_seeds=seeds - 1,
        margin=math.nan,
        examples=tasks,
        example_sets=1,
        seeds=seeds,
    )
    known_parts = math.isfinite(tasks_error) and math.isfinite(seeds_error)
    margin = margin_at(found, CONFIDENCE) if known_parts else math.nan
    return Effect(found.mean, tasks_error, seeds_error, len(known), margin, tasks, seeds)


def _shared_variance(values: Values, by_task: NDArray[np.intp], by_seed: NDArray[np.intp]) -> float:
    """Variance of the mean from what one seed does on one task; 0 where a cell is missing, which is wider."""
    shape = (int(by_task.max(initial=-1)) + 1, int(by_seed.max(initial=-1)) + 1)
    if min(shape) < 2:
        return 0.0
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (by_task, by_seed), values)
    np.add.at(counts, (by_task, by_seed), 1)
    if not counts.all():
        return 0.0
    cells = sums / counts
    left = cells - cells.mean(1, keepdims=True) - cells.mean(0, keepdims=True) + cells.mean()
    freedom = (shape[0] - 1) * (shape[1] - 1)
    return float((left**2).sum()) / freedom / cells.size


def _stderr_of_means(values: Values, index: NDArray[np.intp]) -> float:
    counts = np.bincount(index)
    if len(counts) < 2:
        return math.nan
    means = np.bincount(index, values) / counts
    return float(means.std(ddof=1) / math.sqrt(len(means)))


def _mean(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
