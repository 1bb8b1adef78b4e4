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
    index = indices(groups)
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
    index = indices(groups)
    n_groups = int(index.max(initial=-1)) + 1
    if n_groups < 2:
        return math.nan, math.nan
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if within:
        first, second = _centred(first, index), _centred(second, index)
    # About their means, so that large levels do not drown what varies.
    first, second = first - first.mean(), second - second.mean()
    rows = (np.ones_like(first), first, second, first * first, second * second, first * second)
    by_group = np.array([np.bincount(index, row) for row in rows])
    drawn = np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=repeats)
    n, x_sum, y_sum, xx, yy, xy = by_group @ drawn.T
    squares = np.maximum(xx - x_sum**2 / n, 0) * np.maximum(yy - y_sum**2 / n, 0)
    varies = squares > 1e-24 * max(float(by_group[3].sum() * by_group[4].sum()), 1e-300)
    known = np.clip((xy - x_sum * y_sum / n)[varies] / np.sqrt(squares[varies]), -1, 1)
    return quantiles(known)


def quantiles(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the middle 95 % of the values that are known; NaN where none is."""
    known = values[np.isfinite(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


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


def indices(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return the number of each one's group, in the order in which groups come."""
    places = {group: at for at, group in enumerate(dict.fromkeys(groups))}
    return np.array([places[group] for group in groups], dtype=np.intp)
