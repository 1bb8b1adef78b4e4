"""Lookahead affinity of TAG (Fifty et al., 2021): what one step on a task does to the loss of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.affinity._affinity import Affinity
from cotune.exceptions import InputError

_MOST_CORRELATION = 0.95
"""A larger estimated autocorrelation would say that the whole series is worth less than one measurement."""


def lookahead(before: ArrayLike, after: ArrayLike) -> Affinity:
    """Average, along one joint run, the relative fall of task i's loss through a step on task j.

    ``T[i, j] = mean over t of 1 - L_i(theta_t - eta grad L_j(theta_t)) / L_i(theta_t)``, the measure of TAG
    (Eq. 1 of arXiv 2109.04617), taken at every s-th step t of a run on all tasks. It costs one run, with n
    extra steps and n^2 extra evaluations of a batch at every measurement.

    Parameters
    ----------
    before : array_like of shape (t, n)
        Loss of every task at each measured step, positive.
    after : array_like of shape (t, n, n)
        ``after[t, i, j]``: loss of task i on the same batch after a step on task j, NaN where not measured.

    Returns
    -------
    Affinity
        Counts are measured steps. Neighbouring steps see nearly the same parameters, so the standard error
        takes the number of independent measurements as ``t (1 - r) / (1 + r)``, where r is the lag-one
        autocorrelation of the entry's series, corrected for its bias of ``(1 + 3r) / t`` and kept in
        [0, 0.95]. It is the error of the average along this run: what another run would give is not in it.

    Raises
    ------
    InputError
        If the shapes do not fit, or a loss is not positive and finite.
    """
    first, second = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if first.ndim != 2 or second.shape != (*first.shape, first.shape[1]):
        raise InputError(
            "before and after must have shapes (steps, n) and (steps, n, n), got "
            f"{first.shape} and {second.shape}."
        )
    if not (np.isfinite(first) & (first > 0)).all():
        step, task = np.argwhere(~(np.isfinite(first) & (first > 0)))[0]
        raise InputError(
            f"The loss of task {task} at measurement {step} is {first[step, task]}; a relative change needs "
            "positive, finite losses."
        )
    if np.isinf(second).any():
        step, task, source = np.argwhere(np.isinf(second))[0]
        raise InputError(
            f"The loss of task {task} after a step on task {source} at measurement {step} is infinite."
        )
    change = 1.0 - second / first[:, :, None]
    counts = np.isfinite(change).sum(0)
    stderr = np.full(counts.shape, np.nan)
    matrix = np.full(counts.shape, np.nan)
    for i, j in zip(*np.nonzero(counts), strict=True):
        series = change[np.isfinite(change[:, i, j]), i, j]
        matrix[i, j] = series.mean()
        stderr[i, j] = _stderr_of_series(series)
    return Affinity(matrix, counts.astype(np.int64), stderr)


def _stderr_of_series(series: NDArray[np.float64]) -> float:
    """Return the standard error of the mean of an autocorrelated series, NaN below three values."""
    t = len(series)
    if t < 3:
        return float("nan")
    deviation = series - series.mean()
    variance = float(deviation @ deviation)
    if variance == 0.0:
        return 0.0
    raw = float(deviation[1:] @ deviation[:-1]) / variance
    r = min(max(raw + (1.0 + 3.0 * raw) / t, 0.0), _MOST_CORRELATION)
    # The sample variance of a correlated series is too small by the same token as its mean is too sure.
    effective = max(t * (1.0 - r) / (1.0 + r), 1.5)
    return float(np.sqrt(variance / t / (1.0 - 1.0 / effective) / effective))
