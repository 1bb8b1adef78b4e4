"""The smallest replay that keeps a wanted share of in-context learning, foretold from a few ratios."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import numpy.typing as npt

from cotune._repr import Brief
from cotune.findings.retention._scores import At, RetentionScores
from cotune.findings.wording import percent, significant

_LEVEL = 0.9
_FAR = 50.0
"""Logarithms of ratios beyond this are those of no ratio."""
_RATIOS, _SEEDS = 3, 2
"""Fewer ratios than this have no curve, fewer seeds no spread."""
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallestRatio(Brief):
    """The smallest ratio that keeps a wanted share of the pretrained in-context score, as far as it is known.

    Parameters
    ----------
    wanted : float
        The share to be kept.
    tried : tuple of (float, float)
        Ratios in increasing order, each with the mean share kept over its seeds; 0 is without replay.
    short, enough : float
        What the runs themselves say: the largest ratio that keeps less, and the next one tried, from which on
        all keep as much; NaN where there is none.
    ratio, low, high : float
        What the fitted curve says, with its 90 % interval; NaN where that is not known.
    why : str
        Why it is not known; empty where it is.
    """

    wanted: float
    tried: tuple[tuple[float, float], ...]
    short: float
    enough: float
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallestReplay(Brief):
    """The smallest ratio of some arms of a study.

    Parameters
    ----------
    family : str
        What is replayed: arms of it differ in their ratio alone.
    learning_rate : float
        Of the runs.
    at : {"equal", "best"}
        How the checkpoints were chosen.
    found : SmallestRatio
        What is known.
    """

    family: str
    learning_rate: float
    at: At
    found: SmallestRatio

    @property
    def sentence(self) -> str:
        """What it comes to."""
        found = self.found
        place = "at equal target score" if self.at == "equal" else "at best checkpoints"
        tried = ", ".join(f"{ratio:g} {percent(share)}" for ratio, share in found.tried)
        opening = f"The smallest ratio of {self.family} that keeps {percent(found.wanted)} {place}"
        if not found.why:
            interval = f"{significant(found.low, 2)} to {significant(found.high, 2)}"
            answer = f"is about {significant(found.ratio, 2)} (90 % interval {interval})"
        else:
            answer = f"is not known: {found.why}"
        return f"{opening}, learning rate {self.learning_rate:g}, {answer}. Kept by ratio: {tried}."


def smallest_replays(scores: RetentionScores) -> Iterator[SmallestReplay]:
    """Yield what is known of the smallest replay, for every family of arms and learning rate."""
    data = scores.data
    at: At = "best" if data.threshold is None else "equal"
    for family in dict.fromkeys(arm.family for arm in data.replay):
        arms = sorted((arm for arm in data.replay if arm.family == family), key=lambda arm: arm.ratio)
        for rate in data.learning_rates:
            kept = {
                arm.ratio: list(scores.kept(arm.label, rate, at, scores.most_shots).values()) for arm in arms
            }
            found = smallest_ratio(
                {ratio: shares for ratio, shares in kept.items() if shares}, data.replay_keeps
            )
            if found is not None:
                yield SmallestReplay(family=family, learning_rate=rate, at=at, found=found)


def smallest_ratio(kept: Mapping[float, Sequence[float]], wanted: float) -> SmallestRatio | None:
    """Foretell from what runs at a few ratios keep the smallest ratio that keeps a wanted share.

    What is kept above the share without replay (if that was tried) follows a logistic curve in the logarithm
    of the ratio, fitted by least squares; the ratio's interval is Fieller's, which has no ends where the
    slope is within its error. Nothing is said beyond the ratios that were tried.

    Parameters
    ----------
    kept : mapping of float to sequence of float
        By ratio, 0 for no replay, the share that each seed keeps.
    wanted : float
        In (0, 1).

    Returns
    -------
    SmallestRatio or None
        None where no two ratios were tried.
    """
    tried = tuple((ratio, fmean(shares)) for ratio, shares in sorted(kept.items()))
    if len(tried) < 2:
        return None
    short = max((ratio for ratio, share in tried if share < wanted), default=math.nan)
    enough = next((ratio for ratio, _ in tried if not ratio <= short), math.nan)
    by_runs = SmallestRatio(wanted=wanted, tried=tried, short=short, enough=enough)
    why = _beyond(tried, short, enough) or _too_few(kept)
    if why:
        return replace(by_runs, why=why)
    ratio, low, high = _inverse(kept, wanted)
    within = f"between {short:g} and {enough:g}"
    if not math.isfinite(low + high):
        why = f"more replay does not keep more beyond the seeds' spread; by the runs it is {within}"
        return replace(by_runs, why=why)
    if not short <= ratio <= enough:
        return replace(by_runs, why=f"the curve says {significant(ratio, 2)} and the runs {within}")
    return replace(by_runs, ratio=ratio, low=low, high=high)


def _beyond(tried: Sequence[tuple[float, float]], short: float, enough: float) -> str:
    if math.isnan(short):
        ratio = tried[0][0]
        return f"{ratio:g} keeps it already, and nothing less was tried" if ratio else "it takes no replay"
    if math.isnan(enough):
        return f"none of the ratios tried keeps as much, up to {tried[-1][0]:g}"
    return ""


def _too_few(kept: Mapping[float, Sequence[float]]) -> str:
    positive = [shares for ratio, shares in kept.items() if ratio]
    if len(positive) < _RATIOS:
        return f"it takes {_RATIOS} ratios above 0, there are {len(positive)}"
    if min(map(len, kept.values())) < _SEEDS:
        return f"it takes {_SEEDS} seeds of every ratio"
    return ""


def _inverse(kept: Mapping[float, Sequence[float]], wanted: float) -> tuple[float, float, float]:
    """Return where the fitted curve meets the wanted share, with Fieller's interval; NaN for no ends."""
    from scipy import stats

    floor = min(max(fmean(kept[0]), 0.0), wanted) if kept.get(0) else 0.0
    points = [(math.log(ratio), share) for ratio, shares in kept.items() if ratio for share in shares]
    x, y = np.array(points).T
    (a, b), cov = _fit_logistic(x, (y - floor) / (1 - floor))
    part = (wanted - floor) / (1 - floor)
    if not (b > 0 and part > 0 and np.isfinite(cov).all()):
        return math.nan, math.nan, math.nan
    level = math.log(part / (1 - part))
    t = float(stats.t.ppf((1 + _LEVEL) / 2, len(points) - 2))
    # All x where the curve's logit is the level within its error: a quadratic inequality.
    first = b * b - t * t * cov[1, 1]
    second = 2 * ((a - level) * b - t * t * cov[0, 1])
    third = (a - level) ** 2 - t * t * cov[0, 0]
    root = second * second - 4 * first * third
    at = (level - a) / b
    if first <= 0 or root < 0 or abs(at) > _FAR:
        return math.nan, math.nan, math.nan
    ends = [(-second + side * math.sqrt(root)) / (2 * first) for side in (-1, 1)]
    low, high = (math.exp(min(max(end, -_FAR), _FAR)) for end in ends)
    return math.exp(at), low, high


def _fit_logistic(x: Array, y: Array) -> tuple[tuple[float, float], Array]:
    """Fit intercept and slope of a logistic curve by least squares; return them and their covariance.

    The errors of shares are about the same everywhere, so that they are not weighted as those of counts.
    """
    from scipy.optimize import OptimizeWarning, curve_fit
    from scipy.special import expit

    start = (-float(x.mean()), 1.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            found, cov = curve_fit(lambda at, a, b: expit(a + b * at), x, y, p0=start)
    except (RuntimeError, OptimizeWarning):  # no curve, or one whose error cannot be told
        return (math.nan, math.nan), np.full((2, 2), math.nan)
    return (float(found[0]), float(found[1])), cov
