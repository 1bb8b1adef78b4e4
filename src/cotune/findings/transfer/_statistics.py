"""How strongly two measurements go together: over all points, within tasks, and over resampled tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune._repr import Brief

_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Correlation(Brief):
    """A correlation coefficient.

    Parameters
    ----------
    r : float
        In [-1, 1]; NaN where one of the variables does not vary or there are too few points.
    low, high : float
        Ends of the 95 % confidence interval (Fisher's z); NaN where there are too few points.
    p : float
        Two-sided p of no correlation; NaN where there are too few points.
    n : int
        Number of points.
    """

    r: float
    low: float
    high: float
    p: float
    n: int


def pooled_correlation(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Return Pearson's correlation over all points, as if they were independent.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        Finite values.
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return _correlation(first, second, len(first) - 2)


def within_correlation(x: ArrayLike, y: ArrayLike, groups: Sequence[Hashable]) -> Correlation:
    """Return the repeated-measures correlation: of what is left when every group's means are taken off.

    The common slope of an analysis of covariance with the group as factor (Bakdash and Marusich, 2017,
    "Repeated measures correlation"); it has n - k - 1 degrees of freedom for n points in k groups. Whether a
    group is easy or hard does not count.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        Finite values.
    groups : sequence of n hashable
        Which group each point belongs to.
    """
    index = _indices(groups)
    first = _centred(np.asarray(x, dtype=float), index)
    second = _centred(np.asarray(y, dtype=float), index)
    return _correlation(first, second, len(first) - (int(index.max(initial=-1)) + 1) - 1)


def cluster_bootstrap(
    x: ArrayLike,
    y: ArrayLike,
    groups: Sequence[Hashable],
    *,
    within: bool = False,
    repeats: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a correlation over resampled groups.

    Points of one group are no independent draws: whole groups are drawn with replacement. With a handful of
    groups the interval is rough, and mostly too narrow.

    Parameters
    ----------
    x, y, groups
        As in :func:`within_correlation`.
    within : bool
        Whether the groups' means are taken off.
    repeats : int
        Number of resamples.
    seed : int
        Decides them.

    Returns
    -------
    (float, float)
        NaN where there are fewer than two groups.
    """
    index = _indices(groups)
    n_groups = int(index.max(initial=-1)) + 1
    if n_groups < 2:
        return math.nan, math.nan
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if within:
        first, second = _centred(first, index), _centred(second, index)
    members = [np.flatnonzero(index == group) for group in range(n_groups)]
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(repeats):
        drawn = np.concatenate([members[g] for g in generator.integers(n_groups, size=n_groups)])
        values.append(_pearson(first[drawn], second[drawn]))
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Effect(Brief):
    """The mean of paired differences.

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
    """

    mean: float
    stderr_tasks: float
    stderr_seeds: float
    n: int


def paired_effect(differences: ArrayLike, tasks: Sequence[Hashable], seeds: Sequence[Hashable]) -> Effect:
    """Average paired differences, with standard errors that respect what the pairs have in common.

    Parameters
    ----------
    differences : array-like of shape (n,)
        With the treatment minus without it.
    tasks, seeds : sequence of n hashable
        Which task and which seed each pair belongs to.
    """
    values = np.asarray(differences, dtype=float)
    return Effect(
        mean=float(values.mean()) if len(values) else math.nan,
        stderr_tasks=_stderr_of_means(values, _indices(tasks)),
        stderr_seeds=_stderr_of_means(values, _indices(seeds)),
        n=len(values),
    )


def _stderr_of_means(values: NDArray[np.float64], index: NDArray[np.intp]) -> float:
    counts = np.bincount(index)
    if len(counts) < 2:
        return math.nan
    means = np.bincount(index, values) / counts
    return float(means.std(ddof=1) / math.sqrt(len(means)))


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64], freedom: int) -> Correlation:
    """Return a correlation with its Fisher interval and t test at some degrees of freedom."""
    from scipy import stats

    r = _pearson(x, y)
    if not math.isfinite(r) or freedom < 1:
        return Correlation(math.nan, math.nan, math.nan, math.nan, len(x))
    t: Callable[[float], float] = stats.t(freedom).sf
    p = 2 * float(t(abs(r) * math.sqrt(freedom / max(1 - r * r, 1e-300))))
    if freedom < 2:
        return Correlation(r, -1.0, 1.0, p, len(x))
    half = float(stats.norm.ppf((1 + _LEVEL) / 2)) / math.sqrt(freedom - 1)
    with np.errstate(divide="ignore"):
        low, high = (float(np.tanh(np.arctanh(r) + side * half)) for side in (-1, 1))
    return Correlation(r, low, high, p, len(x))


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if len(x) < 2:
        return math.nan
    first, second = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(first @ first) * float(second @ second))
    # A variable that is constant up to rounding has no correlation.
    if scale <= 1e-14 * max(float(x @ x), float(y @ y)):
        return math.nan
    return float(np.clip(first @ second / scale, -1.0, 1.0))


def _centred(values: NDArray[np.float64], index: NDArray[np.intp]) -> NDArray[np.float64]:
    if not len(values):
        return values
    means = np.bincount(index, values) / np.bincount(index)
    return values - means[index]


def _indices(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    places = {group: at for at, group in enumerate(dict.fromkeys(groups))}
    return np.array([places[group] for group in groups], dtype=np.intp)
