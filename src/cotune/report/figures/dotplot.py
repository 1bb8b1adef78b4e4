"""Geometry of the gains per task as dots with 95 % margins, one panel for each arm compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cotune.findings.comparison import (
    Budget,
    Comparison,
    MeanWithMargin,
    MetricTasks,
    arm_words,
    budget_words,
    format_gain,
)
from cotune.report.figures.axis import Axis
from cotune.report.layout import Layout, shorten
from cotune.report.order import MANY, least_gains, losses_first

_WIDTH = 960.0
_FONT = 12.0
_TITLE_LETTER = 7.8
"""Mean width of a letter of a panel's title, in bold and a size larger."""
_TOP = 44.0
_BOTTOM = 40.0
_GAP = 22.0
_SHAPES = ("circle", "square", "diamond", "triangle")
"""Markers of the budgets, so that they differ without colour."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A gain: place, interval in px (``None`` where no margin is known), where it is cut, and its kind."""

    x: float
    y: float
    low: float | None
    high: float | None
    cut_low: bool
    cut_high: bool
    shape: str
    kind: str
    tooltip: str


@dataclass(frozen=True, slots=True)
class DotRow:
    """A task (or the average) with its line of dots."""

    y: float
    text: str
    full: str
    average: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """The gains over one arm."""

    arm: str
    title: str
    axis: Axis
    zero: float
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class DotPlot:
    """Everything the template draws; lengths in px."""

    key: str
    metric: str
    unit: str
    alt: str
    width: float
    height: float
    top: float
    bottom: float
    label: float
    font: float
    rows: tuple[DotRow, ...]
    separators: tuple[float, ...]
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, str], ...]
    cut: bool
    unknown: bool
    of: int
    """How many tasks the metric has; those that lose most are drawn."""


def dot_plots(comparison: Comparison, layout: Layout) -> tuple[DotPlot, ...]:
    """Lay out one figure for each metric: tasks in the order shown, or those of many that lose most."""
    return tuple(_dot_plot(comparison, metric, layout) for metric in comparison.metrics)


def _dot_plot(comparison: Comparison, metric: MetricTasks, layout: Layout) -> DotPlot:
    arms = [arm for arm in comparison.arms if arm != comparison.reference]
    every = [name for name in layout.names if name in metric.tasks]
    names = losses_first(every, least_gains(comparison))[:MANY]
    gains = _gains(comparison, metric)
    row_height = max(15.0, 8.0 * len(comparison.budgets) + 5)
    letters = min(max([len("average"), *map(len, names)]), 40)
    label = letters * 0.56 * _FONT + 14
    ys = {name: _TOP + (i + 0.5) * row_height for i, name in enumerate(names)}
    ys[""] = _TOP + (len(names) + 0.9) * row_height
    bottom = ys[""] + 0.6 * row_height
    reach = _reach([e for (_, _, task), (e, _) in gains.items() if task in ys and math.isfinite(e.mean)])
    width = (_WIDTH - label - _GAP * (len(arms) - 1)) / len(arms)
    panels = []
    for position, arm in enumerate(arms):
        start = label + position * (width + _GAP)
        axis = Axis.over(-reach, reach, start, start + width, ticks=max(2, int(width / 48)))
        dots = _dots(comparison, gains, arm, ys, axis, row_height)
        title = shorten(f"over {arm_words(arm)}", int((width + _GAP) / _TITLE_LETTER) - 1)
        panels.append(Panel(arm, title, axis, axis.at(0.0), dots))
    direction = "" if metric.higher_is_better else ", turned so that right is better"
    return DotPlot(
        key=f"gains-{comparison.metrics.index(metric)}",
        metric=metric.name,
        unit=f"gain in {metric.name}{direction}",
        alt=f"Gain in {metric.name} of {arm_words(comparison.reference)} over "
        f"{', '.join(map(arm_words, arms))}, for {len(names)} tasks",
        width=_WIDTH,
        height=bottom + _BOTTOM,
        top=_TOP,
        bottom=bottom,
        label=label,
        font=_FONT,
        rows=(
            *(DotRow(ys[name], shorten(name, letters), name, average=False) for name in names),
            DotRow(ys[""], "average", "average over the tasks", average=True),
        ),
        separators=tuple(
            ys[name] - row_height / 2 for name in (layout.group_openers(names) if len(every) <= MANY else ())
        ),
        panels=tuple(panels),
        legend=tuple(
            (_SHAPES[i % len(_SHAPES)], budget_words(budget)) for i, budget in enumerate(comparison.budgets)
        ),
        cut=any(dot.cut_low or dot.cut_high for panel in panels for dot in panel.dots),
        unknown=any(dot.kind == "unknown" for panel in panels for dot in panel.dots),
        of=len(every),
    )


def _gains(
    comparison: Comparison, metric: MetricTasks
) -> dict[tuple[str, Budget, str], tuple[MeanWithMargin, int]]:
    """Gains and their signs by (arm, budget, task); the task of the average is the empty string."""
    gains = {
        (g.arm, g.budget, g.task): (g.gain, g.sign)
        for g in comparison.gains
        if g.budget is not None and g.task in metric.tasks
    }
    for c in comparison.contrasts:
        if c.budget is not None and c.metric == metric.name:
            gains[c.arm, c.budget, ""] = (c.gain, c.gain.sign)
    return gains


def _reach(gains: Sequence[MeanWithMargin]) -> float:
    """Half range of the axis: every mean, and nine in ten intervals; wider ones are cut, with an arrow."""
    means = [abs(g.mean) for g in gains]
    ends = [abs(g.mean) + g.margin for g in gains if math.isfinite(g.margin)]
    reach = max(1.12 * max(means, default=0.0), float(np.quantile(ends, 0.9)) if ends else 0.0)
    return reach or 1.0


def _dots(
    comparison: Comparison,
    gains: Mapping[tuple[str, Budget, str], tuple[MeanWithMargin, int]],
    arm: str,
    ys: Mapping[str, float],
    axis: Axis,
    row_height: float,
) -> tuple[Dot, ...]:
    dots = []
    budgets = comparison.budgets
    step = (row_height - 5) / max(len(budgets), 1)
    for name, y in ys.items():
        for i, budget in enumerate(budgets):
            if (arm, budget, name) not in gains:
                continue
            gain, sign = gains[arm, budget, name]
            place = y + (i - (len(budgets) - 1) / 2) * step
            pair = f"over {arm_words(arm)}, {budget_words(budget)}"
            tooltip = f"{name or 'average'}, {pair}: {format_gain(gain)}"
            dots.append(_dot(gain, sign, axis, place, _SHAPES[i % len(_SHAPES)], tooltip))
    return tuple(dots)


def _dot(gain: MeanWithMargin, sign: int, axis: Axis, y: float, shape: str, tooltip: str) -> Dot:
    kind = {1: "gain", -1: "loss", 0: "open"}[sign]
    if math.isnan(gain.margin):
        return Dot(axis.at(gain.mean), y, None, None, False, False, shape, "unknown", tooltip)
    low, high = gain.mean - gain.margin, gain.mean + gain.margin
    return Dot(
        axis.at(gain.mean),
        y,
        axis.at(max(low, axis.low)),
        axis.at(min(high, axis.high)),
        low < axis.low,
        high > axis.high,
        shape,
        kind,
        tooltip,
    )
