"""What groups are predicted to gain, as plain values, and how gains are written everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.findings._plain import Plain
from cotune.findings.comparison import MeanWithMargin
from cotune.findings.wording import format_number


@dataclass(frozen=True, kw_only=True)
class Interval(Brief, Plain):
    """A number with its interval, whose ends are NaN where nothing tells its error."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TriedPredictor(Brief):
    """A predictor of gains with its mean squared error on held-out runs, by subset size."""

    name: str
    words: str
    errors: tuple[float, ...]
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class PredictedGains(Brief):
    """What the groups of largest predicted gain are predicted to gain.

    Parameters
    ----------
    unit : str
        ``"own_score"`` for shares of each task's score alone, ``"noise"`` for standard deviations of a run.
    level : float
        Probability of the intervals.
    over_alone, over_together : Interval
        Weighted mean gain a task over training each alone, and over training all together.
    together : float
        Mean gain a task of all together over each alone.
    upper_bound : float
        What the predicted mean gain of no partition exceeds.
    optimal : bool
        Whether no partition is predicted to gain more.
    by_task : tuple of Interval
        Gain of every task over training it alone, in the order of ``GroupingFindings.tasks``.
    weights : tuple of float
        What a gain of each task is worth; empty where all are worth the same.
    tested_sizes : tuple of int
        Sizes of the subsets that were held out.
    predictors : tuple of TriedPredictor
        Those that were tried on them.
    sentence : str
        The predicted gain in a line.
    sentences : tuple of str
        Units, predictor, gain, bound and who would lose.
    objective : float
        Sum of the groups' densities (Eq. 3) on the matrix that was clustered.
    of_density : float
        Predicted mean gain a task of the groups by density beside them.
    """

    unit: str
    level: float
    over_alone: Interval
    over_together: Interval
    together: float
    upper_bound: float
    optimal: bool
    by_task: tuple[Interval, ...]
    weights: tuple[float, ...]
    tested_sizes: tuple[int, ...]
    predictors: tuple[TriedPredictor, ...]
    sentence: str
    sentences: tuple[str, ...]
    objective: float
    of_density: float


def gain_text(gain: float, unit: str) -> str:
    """Write a gain in its unit: per cent of each task's score alone, or standard deviations."""
    if math.isnan(gain):
        return "unknown"
    value, name = (gain, "sd") if unit == "noise" else (100 * gain, "%")
    return f"{format_number(value, 2, signed=True)} {name}"


def interval_text(gain: Interval, unit: str, level: float) -> str:
    """Write a gain with its interval."""
    if math.isnan(gain.low):
        return f"{gain_text(gain.value, unit)} (interval unknown)"
    ends = f"{gain_text(gain.low, unit)} to {gain_text(gain.high, unit)}"
    return f"{gain_text(gain.value, unit)} ({100 * level:.0f} % interval {ends})"


def measured_text(gain: MeanWithMargin, unit: str) -> str:
    """Write a measured gain with its 95 % margin."""
    if math.isnan(gain.margin):
        return f"{gain_text(gain.mean, unit)} (margin unknown)"
    return f"{gain_text(gain.mean, unit)} ± {gain_text(gain.margin, unit).removeprefix('+')}"
