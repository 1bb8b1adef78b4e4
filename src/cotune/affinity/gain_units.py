"""Scores of runs as gains over training alone, in units that can be added over tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune._repr import Brief
from cotune.affinity._runs import check_runs
from cotune.exceptions import InputError

GainUnit = Literal["own_score", "noise"]
"""What the gain of a task is measured in; see :func:`task_gains`."""


@dataclass(frozen=True)
class TaskGains(Brief):
    """Scores of runs as gains over training alone.

    Parameters
    ----------
    inside : ndarray of bool, shape (m, n)
        Whether task i was in run r.
    values : ndarray of shape (m, n)
        ``(f_i(S_r) - f_i({i})) / unit_i``, NaN outside the subsets.
    alone : ndarray of shape (n,)
        ``f_i({i})``, the mean over the runs of the task alone.
    units : ndarray of shape (n,)
        What a gain of 1 is worth in the task's own scores.
    unit : {"own_score", "noise"}
        Which units.
    spread_tasks : tuple of int
        Tasks whose score alone is too near 0 to divide by; their unit is the spread of their scores.
    """

    inside: NDArray[np.bool_]
    values: NDArray[np.float64]
    alone: NDArray[np.float64]
    units: NDArray[np.float64]
    unit: GainUnit
    spread_tasks: tuple[int, ...]


def without_own_score(membership: ArrayLike) -> NDArray[np.intp]:
    """Return the tasks that no run trains alone: gains over training alone are unknown for them."""
    inside = np.asarray(membership, dtype=bool)
    return np.flatnonzero(~inside[inside.sum(1) == 1].any(0))


def task_gains(membership: ArrayLike, scores: ArrayLike, unit: GainUnit = "own_score") -> TaskGains:
    """Measure every score as a gain over the task's score alone.

    - ``"own_score"`` (default): a share of the task's score alone, so that 0.01 is one per cent better;
      where that score is smaller than the standard deviation of the task's scores over all runs, which no
      share survives, the unit is that deviation.
    - ``"noise"``: standard deviations between runs of one subset, pooled over the subsets that were run
      twice or more; tasks without such a subset cannot be measured so.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        Whether task i was trained in run r.
    scores : array_like of shape (m, n)
        ``f_i(S_r)``, higher is better; ignored where the task was not in the run.
    unit : {"own_score", "noise"}
        Which units.

    Raises
    ------
    InputError
        If the scores do not fit, a task was never trained alone, or a unit cannot be had.
    """
    inside, f = check_runs(membership, scores)
    missing = without_own_score(inside)
    if len(missing):
        raise InputError(
            f"Task {missing[0]} was never trained alone: its gain over that is unknown; give such a run."
        )
    single = inside & (inside.sum(1) == 1)[:, None]
    alone = np.where(single, f, 0.0).sum(0) / single.sum(0)
    spread: tuple[int, ...] = ()
    if unit == "own_score":
        deviation = np.nanstd(f, axis=0)
        small = np.abs(alone) < deviation
        units = np.where(small, deviation, np.abs(alone))
        spread = tuple(int(task) for task in np.flatnonzero(small))
        units = np.where(units > 0, units, 1.0)  # a score of 0 in every run: its gains are 0 in any unit
    elif unit == "noise":
        units = np.sqrt(noise_variance(inside, f))
        bad = np.flatnonzero(~(units > 0))
        if len(bad):
            raise InputError(
                f"The noise of task {bad[0]} is unknown: no subset with it was run twice with different "
                "scores; measure gains by 'own_score'."
            )
    else:
        raise InputError(f"The unit of gains must be 'own_score' or 'noise', got {unit!r}.")
    return TaskGains(inside, (f - alone) / units, alone, units, unit, spread)


def noise_variance(inside: NDArray[np.bool_], f: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance between runs of one subset, pooled over subsets, shape (n,); NaN without any."""
    _, which = np.unique(inside, axis=0, return_inverse=True)
    total, free = np.zeros(inside.shape[1]), np.zeros(inside.shape[1])
    order = np.argsort(which.ravel(), kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(which.ravel()[order])) + 1):
        if len(rows) > 1:
            members = inside[rows[0]]
            total[members] += f[rows][:, members].var(0) * len(rows)
            free[members] += len(rows) - 1
    return np.where(free > 0, total / np.maximum(free, 1.0), np.nan)
