"""Higher-order task affinity, Eq. (6) of Li et al. (AdaGroup)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from cotune.affinity._affinity import Affinity
from cotune.affinity._runs import check_runs, task_means


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
    inside, f = check_runs(membership, scores)
    runs, tasks = np.nonzero(inside)
    ends = np.concatenate([[0], np.cumsum(inside.sum(1))])

    def of_runs(values: NDArray[np.float64]) -> sparse.csr_matrix:
        return sparse.csr_matrix((values, tasks, ends), shape=inside.shape)

    member = of_runs(np.ones(len(tasks)))
    counts = np.asarray((member.T @ member).toarray(), dtype=np.int64)
    # Deviations from the task's own mean: squares of raw losses would cancel badly.
    mean_of_task = task_means(inside, f)
    deviation = f[runs, tasks] - mean_of_task[tasks]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (of_runs(deviation).T @ member).toarray() / counts
        spread = (of_runs(deviation**2).T @ member).toarray() / counts - mean**2
        stderr = np.sqrt(np.maximum(spread, 0.0) / (counts - 1))
    stderr[counts < 2] = np.nan
    matrix = np.where(counts > 0, mean + mean_of_task[:, None], np.nan)
    return Affinity(matrix, counts, stderr)
