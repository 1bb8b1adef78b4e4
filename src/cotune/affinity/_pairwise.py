"""Loss-based pairwise affinity (Standley et al., 2020) and gains over training alone (Fig. 1 of AdaGroup)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.affinity._affinity import Affinity
from cotune.affinity._higher_order import higher_order
from cotune.affinity._runs import check_runs
from cotune.exceptions import InputError


def pairwise(membership: ArrayLike, scores: ArrayLike) -> Affinity:
    """Score every task in the company of one other: ``T[i, j] = f_i({i, j})``.

    The cost is n(n - 1)/2 runs of two tasks, and n of one for the diagonal.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        Whether task i was trained in run r; every run holds two tasks, or one.
    scores : array_like of shape (m, n)
        ``f_i(S_r)``, higher is better; ignored where the task was not in the run.

    Returns
    -------
    Affinity
        Means over the runs of a pair (its seeds). The diagonal is ``f_i({i})``, the mean over the runs of the
        task alone. NaN with count 0 where there was no such run.

    Raises
    ------
    InputError
        If a run holds more than two tasks or none, or the scores do not fit.
    """
    inside, f = check_runs(membership, scores)
    size = inside.sum(1)
    if not np.isin(size, (1, 2)).all():
        run = int(np.flatnonzero(~np.isin(size, (1, 2)))[0])
        raise InputError(
            f"Pairwise affinity takes runs of one or two tasks, run {run} has {size[run]}; use higher_order "
            "for larger subsets."
        )
    together = higher_order(inside[size == 2], f[size == 2])
    alone = higher_order(inside[size == 1], f[size == 1])
    matrix, counts, stderr = together.matrix, together.counts, together.stderr
    for array, own in ((matrix, alone.matrix), (counts, alone.counts), (stderr, alone.stderr)):
        np.fill_diagonal(array, np.diag(own))
    return Affinity(matrix, counts, stderr)


def gains(affinity: Affinity, alone: ArrayLike, alone_stderr: ArrayLike | None = None) -> Affinity:
    """Subtract each task's score when trained alone: positive entries are positive transfer (Fig. 1).

    Parameters
    ----------
    affinity : Affinity
        Scores in company, higher is better: pairwise, or higher-order.
    alone : array_like of shape (n,)
        ``f_i({i})``.
    alone_stderr : array_like of shape (n,), optional
        Standard errors of ``alone``; taken as exact when not given.

    Returns
    -------
    Affinity
        ``T[i, j] - f_i({i})`` with the same counts; the diagonal is 0, a task's gain from its own company.
        The error of ``alone`` is common to a row: it widens the standard errors, and cannot change groups.

    Raises
    ------
    InputError
        If ``alone`` does not hold one finite score a task.
    """
    n = len(affinity.matrix)
    base = _vector(alone, n, "alone")
    error = np.zeros(n) if alone_stderr is None else _vector(alone_stderr, n, "alone_stderr")
    matrix = affinity.matrix - base[:, None]
    stderr = np.hypot(affinity.stderr, error[:, None])
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(stderr, 0.0)
    return Affinity(matrix, affinity.counts, stderr)


def _vector(values: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    vector = np.asarray(values, dtype=float)
    if vector.shape != (n,) or not np.isfinite(vector).all():
        raise InputError(f"{name} must hold one finite number for each of {n} tasks, got {vector}.")
    return vector
