"""Calibrated affinity: a few trained subsets correct cheap predictions on very many.

The predictions serve as control variate (model-assisted estimation in survey sampling, prediction-powered
inference): they may be wrong in any way, the trained runs put them right, and the better they are the fewer
runs it takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune._repr import Brief
from cotune.affinity._affinity import Affinity
from cotune.affinity._higher_order import higher_order
from cotune.affinity._runs import check_runs, task_means
from cotune.affinity.linear_surrogate import LinearSurrogate
from cotune.exceptions import InputError

Array = NDArray[np.float64]

_PRIOR_RUNS = 3.0
"""Weight, in runs, of what the variance of a task's scores should be going by its predictions."""
_CORRELATION, _CORRELATION_SPREAD = 0.5, 0.25
"""Mean and standard deviation of what the correlation of predictions with trained scores is thought to be
before any run: measured ones were 0.35 to 0.93 on function classes. A dozen runs tell nothing of a slope."""
_LEAST_SHARE = 1e-12
"""Of the variance of trained scores, what predictions leave at the least: rounding."""


@dataclass(frozen=True, eq=False)
class Calibrated(Brief):
    """Higher-order affinity from trained and predicted subsets, and what the predictions were worth.

    Parameters
    ----------
    affinity : Affinity
        Estimates of Eq. (6) over all subsets of the size; counts are trained runs with both tasks.
    slopes : ndarray of shape (n,)
        What a unit of predicted score was worth in trained score, by task; 0 where predictions say nothing.
    unexplained : ndarray of shape (n,)
        Variance of the trained scores that the predictions of runs left out do not explain, over their
        variance, by task. 0.2 means that a trained run counts for five; around 1 or above, that the
        predictions were no help. NaN below three runs or without variation.
    """

    affinity: Affinity
    slopes: Array
    unexplained: Array


def calibrated(
    membership: ArrayLike,
    scores: ArrayLike,
    predicted: ArrayLike,
    pool: ArrayLike,
    pool_predicted: ArrayLike,
    *,
    shrink: bool = True,
) -> Calibrated:
    """Estimate ``T[i, j] = E f_i(S)``, S a random subset with i and j, from few trained and many predicted S.

    With p_i(S) the prediction, P_ij its mean over the subsets of the pool that hold i and j, and any slope
    b_i,

        E [f_i(S) - b_i (p_i(S) - P_ij)] = T_ij,        S random with i and j,

    because the bracket's second term has mean zero. Its variance is least at the slope of f on p, and then is
    that of f times 1 - correlation^2. Slopes are cross-fitted: the term of run r takes slopes estimated
    without run r, so that they do not depend on its score and the mean stays exact. They are shrunk between
    tasks: ``b_i ~ N(b, w)``, b and w from all tasks (DerSimonian and Laird), since a few runs a task do not
    tell a slope a task. A dozen runs do not even tell b: its prior is that predictions correlate with trained
    scores at 0.5 ± 0.25, so that few runs leave the predictions in force and many overrule them.

    With ``shrink=False`` the estimate is the mean of these terms over the c_ij trained runs with i and j:
    unbiased for independent, uniformly drawn subsets, NaN where c_ij is 0. Its standard error is
    ``sqrt(v_i / c_ij + b_i^2 var(P_ij))``, where v_i is the variance of the terms within pairs: the task's
    variance of residuals times their share within pairs, pooled over tasks.

    With ``shrink=True`` (default) a :class:`LinearSurrogate` takes the place of the mean of residuals
    ``f - b p`` within a pair: still the same limit in many runs, but a run also tells of pairs it does not
    hold, and residuals that show no structure are shrunk towards none, which leaves ``b_i P_ij`` plus a
    constant. This fills all pairs, also those without a trained run (count 0, and the larger error). The
    standard error is the posterior's, with that of P_ij and of the slope added.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        The trained subsets, all of one size, drawn at random or by :func:`cover_pairs`.
    scores : array_like of shape (m, n)
        Their ``f_i(S)``, higher is better; ignored where the task was not in the run.
    predicted : array_like of shape (m, n)
        Predictions for the same subsets, in any units.
    pool : array_like of bool, shape (q, n)
        The predicted subsets, of the same size; all of them, or a large random sample.
    pool_predicted : array_like of shape (q, n)
        Their predictions.
    shrink : bool
        See above.

    Returns
    -------
    Calibrated
        The estimate and the slopes.

    Raises
    ------
    InputError
        If shapes or sizes do not fit, a task was in no trained run, or a pair is in no subset of the pool.
    """
    inside, f = check_runs(membership, scores)
    _, p = check_runs(inside, predicted)
    size = _check(inside, pool)
    mean = higher_order(pool, pool_predicted)
    if (mean.counts == 0).any():
        i, j = np.argwhere(mean.counts == 0)[0]
        raise InputError(f"Tasks {i} and {j} are in no subset of the pool together; predict more subsets.")
    slopes = _Slopes.fit(inside, f, p, _variance(*check_runs(pool, pool_predicted)))
    left_out = 1.0 - len(np.asarray(pool)) / math.comb(inside.shape[1], size)
    pool_stderr = np.nan_to_num(mean.stderr) * math.sqrt(max(left_out, 0.0))
    residual = f - slopes.left_out * p
    if shrink:
        affinity = _shrunk(inside, p, residual, slopes, mean.matrix, pool_stderr, size)
    else:
        affinity = _unbiased(inside, residual, slopes, mean.matrix, pool_stderr)
    total, rest = _variance(inside, f), _variance(inside, residual)
    known = (inside.sum(0) > 2) & (total > 0)
    unexplained = np.where(known, rest / np.where(known, total, 1.0), np.nan)
    return Calibrated(affinity, slopes.all_runs, unexplained)


def _check(inside: NDArray[np.bool_], pool: ArrayLike) -> int:
    sizes = np.concatenate([inside.sum(1), np.asarray(pool, dtype=bool).sum(1)])
    if len(np.unique(sizes)) != 1 or sizes[0] < 2:
        raise InputError(
            "Calibration needs trained and predicted subsets of one size of at least 2, got sizes "
            f"{sorted({int(s) for s in sizes})}."
        )
    if not inside.any(0).all():
        raise InputError(f"Task {int(np.flatnonzero(~inside.any(0))[0])} is in no trained run.")
    return int(sizes[0])


def _variance(inside: NDArray[np.bool_], values: Array) -> Array:
    """Variance of each task's values over its runs, shape (n,); 0 with a single run."""
    deviation = np.where(inside, values - task_means(inside, values), 0.0)
    return np.asarray((deviation**2).sum(0) / np.maximum(inside.sum(0) - 1, 1))


@dataclass(frozen=True)
class _Slopes:
    """Slopes of trained on predicted scores, shrunk between tasks.

    Parameters
    ----------
    left_out : ndarray of shape (m, n)
        Slopes estimated without each run.
    all_runs : ndarray of shape (n,)
        Slopes estimated from all runs.
    stderr : ndarray of shape (n,)
        Their standard errors.
    """

    left_out: Array
    all_runs: Array
    stderr: Array

    @classmethod
    def fit(cls, inside: NDArray[np.bool_], f: Array, p: Array, unit: Array) -> _Slopes:
        y = np.where(inside, f - task_means(inside, f), 0.0)
        x = np.where(inside, p - task_means(inside, p), 0.0)
        parts = np.stack([inside.astype(float), x, y, x * x, x * y, y * y])
        total = parts.sum(1)
        left_out, _ = _random_effects(total[:, None] - parts, unit)
        slopes, stderr = _random_effects(total[:, None], unit)
        return cls(left_out, slopes[0], stderr[0])


def task_slopes(inside: NDArray[np.bool_], f: Array, p: Array, spread: Array) -> Array:
    """Return what a unit of prediction p is worth in trained score f, shrunk between tasks, shape (n,).

    Parameters
    ----------
    inside : ndarray of bool, shape (m, n)
        Who was in each run.
    f, p : ndarray of shape (m, n)
        Trained and predicted scores, in any units.
    spread : ndarray of shape (n,)
        Variance of each task's predictions over many subsets.
    """
    return _Slopes.fit(inside, f, p, spread).all_runs


def _random_effects(sums: Array, unit: Array) -> tuple[Array, Array]:
    """Slopes b_i ~ N(b, w) and their standard errors.

    Parameters
    ----------
    sums : ndarray of shape (6, rows, n)
        Sums over runs of 1, x, y, xx, xy and yy, for trained scores y and predictions x.
    unit : ndarray of shape (n,)
        Variance of each task's predictions over the pool.
    """
    count, x, y, xx, xy, yy = sums
    safe = np.maximum(count, 1.0)
    xx, xy, yy = xx - x * x / safe, xy - x * y / safe, yy - y * y / safe
    use = (count > 1.5) & (xx > 1e-12 * xx.max(initial=1e-300)) & (yy > 0)
    xx, xy, yy = (np.where(use, v, 0.0) for v in (xx, xy, yy))
    # The variance of two or three scores may be near zero by chance; what is typical for the task's unit is
    # worth _PRIOR_RUNS more of them.
    unit = np.where(unit > 0, unit, 1.0)
    degrees = np.where(use, count - 1.0, 0.0)
    typical = (yy / unit).sum(1, keepdims=True) / _positive(degrees.sum(1, keepdims=True)) * unit
    variance = _positive((yy + _PRIOR_RUNS * typical) / (degrees + _PRIOR_RUNS))
    precision = xx / variance
    alone = xy / np.where(use, xx, 1.0)
    common = (precision * alone).sum(1, keepdims=True) / _positive(precision.sum(1, keepdims=True))
    rest = (yy - 2 * common * xy + common**2 * xx) / variance
    share = rest.sum(1, keepdims=True) / np.maximum(degrees.sum(1, keepdims=True) - 1.0, 1.0)
    precision = precision / np.maximum(share, _LEAST_SHARE)
    common, weight_of_all = _common_slope(precision, alone, typical / unit)
    excess = (precision * (alone - common) ** 2).sum(1, keepdims=True) - (use.sum(1, keepdims=True) - 1.0)
    weight = precision.sum(1, keepdims=True)
    between = np.maximum(
        excess / _positive(weight - (precision**2).sum(1, keepdims=True) / _positive(weight)), 0
    )
    trust = between * precision / (1.0 + between * precision)
    stderr = np.sqrt(trust / _positive(precision) + (1.0 - trust) ** 2 / _positive(weight_of_all))
    return common + trust * (alone - common), stderr


def _common_slope(precision: Array, alone: Array, ratio: Array) -> tuple[Array, Array]:
    """Combine the tasks' slopes, shape (rows, n), with the prior; return b and its precision, (rows, 1).

    ``ratio`` holds the typical variance of trained scores over that of predictions.
    """
    unit = np.sqrt(ratio[:, :1])
    weight = precision.sum(1, keepdims=True)
    prior = np.where(unit > 0, 1.0 / _positive((_CORRELATION_SPREAD * unit) ** 2), 0.0)
    total = weight + prior
    common = ((precision * alone).sum(1, keepdims=True) + prior * _CORRELATION * unit) / _positive(total)
    return common, total


def _positive(values: Array) -> Array:
    """Return denominators with zeros, whose numerators are zero as well, replaced."""
    return np.where(values > 0, values, 1.0)


def _unbiased(
    inside: NDArray[np.bool_], residual: Array, slopes: _Slopes, mean: Array, pool_stderr: Array
) -> Affinity:
    """Average the terms of each pair's own runs."""
    rest = higher_order(inside, residual)
    weight = higher_order(inside, slopes.left_out).matrix
    total = _variance(inside, residual)
    variance = np.repeat((_share_within_pairs(rest, total) * total)[:, None], len(total), axis=1)
    np.fill_diagonal(variance, total)
    with np.errstate(divide="ignore", invalid="ignore"):
        stderr = np.sqrt(variance / rest.counts + (weight * pool_stderr) ** 2)
    stderr[rest.counts == 0] = np.nan
    return Affinity(rest.matrix + weight * mean, rest.counts, stderr)


def _share_within_pairs(rest: Affinity, total: Array) -> float:
    """Share of the residuals' variance that is left among the runs of a pair, pooled over all tasks."""
    within = np.nan_to_num(rest.stderr**2 * rest.counts * (rest.counts - 1))
    free = np.maximum(rest.counts - 1, 0)
    for sums in (within, free):
        np.fill_diagonal(sums, 0)
    degrees = int(free[total > 0].sum())
    return float((within.sum(1) / _positive(total))[total > 0].sum()) / degrees if degrees else 1.0


def _shrunk(
    inside: NDArray[np.bool_],
    p: Array,
    residual: Array,
    slopes: _Slopes,
    mean: Array,
    pool_stderr: Array,
    size: int,
) -> Affinity:
    """Let a surrogate find what structure the residuals have."""
    rest = LinearSurrogate().fit(inside, residual).affinity(size, unmet=True)
    lever = mean - task_means(inside, p)[:, None]
    stderr = np.sqrt(
        rest.stderr**2 + (slopes.stderr[:, None] * lever) ** 2 + (slopes.all_runs[:, None] * pool_stderr) ** 2
    )
    return Affinity(rest.matrix + slopes.all_runs[:, None] * mean, rest.counts, stderr)
