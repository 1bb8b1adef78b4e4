"""Higher-order task affinity, Eq. (6) of Li et al. (AdaGroup)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cotune.affinity._affinity import Affinity
from cotune.exceptions import InputError


def higher_order(membership: ArrayLike, scores: ArrayLike) -> Affinity:
    """Average each task's score over the sampled subsets that hold a given other task.

    Eq. (6): ``T[i, j] = mean of f_i(S_r) over the runs r whose subset S_r holds both i and j``. The diagonal
    is the task's mean over all its runs.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        Whether task i was trained in run r.
    scores : array_like of shape (m, n)
        ``f_i(S_r)``, higher is better; ignored (NaN allowed) where the task was not in the run.

    Returns
    -------
    Affinity
        Entries of pairs that were never sampled together are NaN with count 0. The standard error of an
        entry is the standard deviation of its own runs over the square root of their number.

    Raises
    ------
    InputError
        If the shapes differ, or a score of a task that was in a run is not finite.
    """
    inside = np.asarray(membership, dtype=bool)
    f = np.asarray(scores, dtype=float)
    if inside.ndim != 2 or f.shape != inside.shape:
        raise InputError(
            "membership and scores must be two matrices of one shape (runs, tasks), got shapes "
            f"{inside.shape} and {f.shape}."
        )
    bad = inside & ~np.isfinite(f)
    if bad.any():
        run, task = np.argwhere(bad)[0]
        raise InputError(
            f"The score of task {task} in run {run} is {f[run, task]}; every task of a run's subset must "
            "have a finite score."
        )
    member = inside.astype(float)
    counts = (member.T @ member).astype(np.int64)
    # Deviations from the task's own mean: squares of raw losses would cancel badly.
    runs_of_task = np.maximum(inside.sum(0), 1)
    mean_of_task = np.where(inside, f, 0.0).sum(0) / runs_of_task
    deviation = np.where(inside, f - mean_of_task, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (deviation.T @ member) / counts
        spread = ((deviation**2).T @ member) / counts - mean**2
        stderr = np.sqrt(np.maximum(spread, 0.0) / (counts - 1))
    stderr[counts < 2] = np.nan
    matrix = np.where(counts > 0, mean + mean_of_task[:, None], np.nan)
    return Affinity(matrix, counts, stderr)
