"""How far predicted scores can be trusted: compared with trained ones, task by task."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.affinity._runs import task_means
from cotune.exceptions import InputError


def rank_agreement(predicted: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """Spearman's rank correlation of predicted with trained ``f_i(S)`` over the subsets of each task.

    Parameters
    ----------
    predicted, scores : array_like of shape (m, n)
        A row a subset; compared where both are finite.

    Returns
    -------
    ndarray of shape (n,)
        NaN for a task with fewer than three such subsets, or without variation.
    """
    p, f, both = _paired(predicted, scores)
    result = np.full(p.shape[1], np.nan)
    for i in range(p.shape[1]):
        rows = both[:, i]
        if rows.sum() < 3:
            continue
        a, b = (_centred(_ranks(x[rows, i])) for x in (p, f))
        if a.any() and b.any():
            result[i] = (a @ b) / np.sqrt((a @ a) * (b @ b))
    return result


def within_task_correlation(predicted: ArrayLike, scores: ArrayLike) -> float:
    """Correlation of predicted with trained ``f_i(S)`` after both are centred by task, pooled over tasks.

    Each task's values are divided by the standard deviation of its trained scores, so that no task's
    units count more than another's. It is the share of standard deviation that a control variate with one
    common slope explains.

    Parameters
    ----------
    predicted, scores : array_like of shape (m, n)
        A row a subset; compared where both are finite.

    Returns
    -------
    float
        From -1 to 1; NaN when no task has two subsets with different scores and predictions.
    """
    p, f, both = _paired(predicted, scores)
    p, f = (np.where(both, x - task_means(both, x), 0.0) for x in (p, f))
    spread = np.sqrt((f**2).sum(0) / np.maximum(both.sum(0) - 1, 1))
    unit = np.where(spread > 0, spread, 1.0)
    p, f = p / unit, f / unit
    norm = float(np.sqrt((p**2).sum() * (f**2).sum()))
    return float((p * f).sum()) / norm if norm > 0 else float("nan")


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, ties sharing their mean; ``scipy.stats`` takes longer to load than all groups."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[place])


def _centred(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(x - x.mean())


def _paired(
    predicted: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    p, f = np.asarray(predicted, dtype=float), np.asarray(scores, dtype=float)
    if p.ndim != 2 or p.shape != f.shape:
        raise InputError(
            f"Predicted and trained scores must be two matrices of one shape, got {p.shape} and {f.shape}."
        )
    both = np.isfinite(p) & np.isfinite(f)
    return np.where(both, p, 0.0), np.where(both, f, 0.0), both
