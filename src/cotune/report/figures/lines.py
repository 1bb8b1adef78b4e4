"""Geometry of the small line and scatter plots of the retention report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from cotune.report.figures.axis import Axis

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 10.0, 36.0
MARKERS = ("circle", "square", "diamond", "triangle", "down", "cross", "plus", "ring")
"""Shapes of the series, so that they differ without colour; as many as the style sheet has colours."""
NEUTRAL = len(MARKERS) - 1
"""The style of what is no method."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """What is plotted as one line or cloud.

    Parameters
    ----------
    name : str
        In the legend.
    style : int
        Which colour and marker, counted round.
    points : sequence of (float, float)
        In the order joined; a point that is not finite breaks the line.
    faint : bool
        A single run beside the mean: thin, without markers and legend.
    dashed : bool
        Drawn dashed, as references are.
    joined, marked : bool
        Whether there is a line, and whether there are markers.
    tooltips : sequence of str
        One for each point, or none.
    """

    name: str
    style: int
    points: Sequence[Point]
    faint: bool = False
    dashed: bool = False
    joined: bool = True
    marked: bool = True
    tooltips: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker: place, shape, style and tooltip."""

    x: float
    y: float
    shape: str
    style: int
    hollow: bool
    tooltip: str


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline: its points in px as text."""

    points: str
    style: int
    faint: bool
    dashed: bool


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend."""

    name: str
    style: int
    shape: str
    dashed: bool
    joined: bool
    hollow: bool


@dataclass(frozen=True, slots=True)
class LinePlot:
    """Everything the template draws; lengths in px."""

    title: str
    alt: str
    x_label: str
    y_label: str
    width: float
    height: float
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    legend: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the plots of one figure have in common.

    Parameters
    ----------
    x_label, y_label : str
        What the axes are.
    x_range, y_range : (float, float)
        Of all plots, so that they can be compared.
    log_x, log_y : bool
        Whether data are drawn by their decimal logarithms.
    x_ticks : sequence of float
        Where given, the places labelled on the x axis.
    width, height : float
        In px.
    """

    x_label: str
    y_label: str
    x_range: Point
    y_range: Point
    log_x: bool = False
    log_y: bool = False
    x_ticks: Sequence[float] = ()
    width: float = 310.0
    height: float = 200.0


def line_plot(title: str, alt: str, series: Sequence[Series], frame: Frame) -> LinePlot:
    """Lay out one plot."""
    x = _axis(frame.x_range, _LEFT + 4, frame.width - _RIGHT, log=frame.log_x, at=frame.x_ticks, ticks=6)
    y = _axis(frame.y_range, frame.height - _BOTTOM, _TOP, log=frame.log_y, ticks=5)
    lines: list[Line] = []
    marks: list[Mark] = []
    for one in series:
        px = [_place(point, x, y, frame) for point in one.points]
        if one.joined:
            lines += [Line(_text(run), one.style % len(MARKERS), one.faint, one.dashed) for run in _runs(px)]
        if one.marked and not one.faint:
            tooltips = one.tooltips or [one.name] * len(px)
            marks += [
                Mark(
                    *at,
                    MARKERS[one.style % len(MARKERS)],
                    one.style % len(MARKERS),
                    _hollow(one),
                    tip,
                )
                for at, tip in zip(px, tooltips, strict=True)
                if at is not None
            ]
    return LinePlot(
        title,
        alt,
        frame.x_label,
        frame.y_label,
        frame.width,
        frame.height,
        x,
        y,
        tuple(lines),
        tuple(marks),
        _legend(series),
    )


def value_range(values: Sequence[float], *, low: float | None = None, high: float | None = None) -> Point:
    """Return a range with some air around all finite values and the given ends."""
    finite = [v for v in (*values, *(v for v in (low, high) if v is not None)) if math.isfinite(v)]
    start, end = min(finite, default=0.0), max(finite, default=1.0)
    air = 0.04 * (end - start) or 0.5 * abs(end) or 0.5
    return start - air, end + air


def log_range(values: Sequence[float]) -> Point:
    """Return a range around all positive finite values, with the same air on a logarithmic scale."""
    positive = [math.log10(v) for v in values if math.isfinite(v) and v > 0]
    low, high = value_range(positive)
    return 10**low, 10**high


def _axis(ends: Point, start: float, stop: float, *, log: bool, ticks: int, at: Sequence[float] = ()) -> Axis:
    scale: Callable[[float], float] = math.log10 if log else float
    low, high = (scale(end) for end in ends)
    axis = Axis.over(low, high, start, stop, ticks=ticks)
    if at:
        return Axis(low, high, start, stop, tuple((axis.at(scale(v)), f"{v:g}") for v in at))
    if not log:
        return axis
    powers = range(math.ceil(low), math.floor(high) + 1)
    step = max(1, math.ceil(len(powers) / ticks))
    labelled = tuple((axis.at(float(power)), f"{10.0**power:g}") for power in powers[::step])
    return Axis(low, high, start, stop, labelled or ((axis.at(low), f"{10**low:.1g}"),))


def _place(point: Point, x: Axis, y: Axis, frame: Frame) -> Point | None:
    right, up = (
        (math.log10(v) if v > 0 else math.nan) if log else v
        for v, log in zip(point, (frame.log_x, frame.log_y), strict=True)
    )
    if not (math.isfinite(right) and math.isfinite(up)):
        return None
    return x.at(right), y.at(up)


def _runs(points: Sequence[Point | None]) -> list[list[Point]]:
    """Split at what is missing; a single point makes no line."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if len(run) > 1]


def _text(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _legend(series: Sequence[Series]) -> tuple[Key, ...]:
    return tuple(
        Key(
            name=one.name,
            style=one.style % len(MARKERS),
            shape=MARKERS[one.style % len(MARKERS)] if one.marked else "",
            dashed=one.dashed,
            joined=one.joined,
            hollow=_hollow(one),
        )
        for one in series
        if not one.faint
    )


def legend_of(plots: Iterable[LinePlot]) -> list[Key]:
    """Return the legend that plots share: every name once, with its marker where some series has one."""
    keys: dict[str, Key] = {}
    for plot in plots:
        for key in plot.legend:
            known = keys.setdefault(key.name, key)
            if key.shape and not known.shape:
                keys[key.name] = replace(known, shape=key.shape)
    return list(keys.values())


def _hollow(series: Series) -> bool:
    """Tell whether markers are open: a cloud has no line to be dashed."""
    return series.dashed and not series.joined
