"""Geometry of the small curves of the rules for the number of groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cotune.findings.grouping import KRule
from cotune.findings.wording import significant
from cotune.report.figures.axis import Axis

_WIDTH, _HEIGHT = 300.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 12.0, 34.0


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One k: place, half length of the error bar in px, tooltip."""

    x: float
    y: float
    error: float
    tooltip: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """One rule's curve; ``segments`` are polylines broken where a value is unknown."""

    name: str
    better: str
    chosen: int | None
    alt: str
    width: float
    height: float
    x: Axis
    y: Axis
    points: tuple[CurvePoint, ...]
    segments: tuple[str, ...]


def curve(rule: KRule) -> Curve:
    """Lay out the curve of one rule for k."""
    errors = rule.errors or (math.nan,) * len(rule.ks)
    y_low, y_high = _value_range(rule.values, errors)
    pad = 0.5 if len(set(rule.ks)) < 2 else 0.0
    x = Axis.over(min(rule.ks) - pad, max(rule.ks) + pad, _LEFT + 8, _WIDTH - _RIGHT, ticks=8, whole=True)
    y = Axis.over(y_low, y_high, _HEIGHT - _BOTTOM, _TOP, ticks=4)
    per_unit = abs(y.at(1.0) - y.at(0.0))
    points = tuple(
        CurvePoint(
            x.at(k),
            y.at(value),
            per_unit * error if math.isfinite(error) else 0.0,
            f"k = {k}: {significant(value, 4)}"
            + (f" ± {significant(error, 2)}" if math.isfinite(error) else ""),
            k == rule.chosen,
        )
        for k, value, error in zip(rule.ks, rule.values, errors, strict=True)
        if math.isfinite(value)
    )
    said = f"chooses k = {rule.chosen}" if rule.chosen is not None else "chooses no k"
    return Curve(
        name=rule.name,
        better="higher is better" if rule.better == "high" else "lower is better",
        chosen=rule.chosen,
        alt=f"{rule.name} for k from {min(rule.ks)} to {max(rule.ks)}; {said}",
        width=_WIDTH,
        height=_HEIGHT,
        x=x,
        y=y,
        points=points,
        segments=_segments(rule, x, y),
    )


def _value_range(values: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    spread = [e if math.isfinite(e) else 0.0 for e in errors]
    ends = [v + s * e for v, e in zip(values, spread, strict=True) for s in (-1, 1) if math.isfinite(v)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    return low - pad, high + pad


def _segments(rule: KRule, x: Axis, y: Axis) -> tuple[str, ...]:
    runs: list[list[str]] = [[]]
    for k, value in zip(rule.ks, rule.values, strict=True):
        if math.isfinite(value):
            runs[-1].append(f"{x.at(k):.1f},{y.at(value):.1f}")
        else:
            runs.append([])
    return tuple(" ".join(run) for run in runs if len(run) > 1)
