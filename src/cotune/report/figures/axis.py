"""A linear axis with ticks at round numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from cotune.findings.wording import significant


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from data to px with its ticks as (px, text)."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]

    @classmethod
    def over(
        cls, low: float, high: float, start: float, end: float, *, ticks: int, whole: bool = False
    ) -> Axis:
        """Axis over the data range [low, high], drawn from ``start`` to ``end`` px."""
        inside = _round_places(low, high, ticks, whole)
        axis = cls(low, high, start, end, ())
        step = min((b - a for a, b in pairwise(inside)), default=high - low)
        texts = [(axis.at(v), _tick_text(float(v), float(step))) for v in inside]
        return cls(low, high, start, end, tuple(texts))

    def at(self, value: float) -> float:
        """Px of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _round_places(low: float, high: float, most: int, whole: bool) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten: at least two, unless they have to be whole."""
    least = (high - low) / most * (1 - 1e-9)
    power = 10.0 ** math.floor(math.log10(least))
    steps = [many * power for many in (10, 5, 2, 1, 0.5, 0.2, 0.1)]
    places: list[float] = []
    for step in steps[sum(step >= least for step in steps) - 1 :]:
        step = max(step, 1.0) if whole else step
        numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        places = [number * step for number in numbers]
        if len(places) > 1:
            break
    return places


def _tick_text(value: float, step: float) -> str:
    if value and abs(value) >= 1e5:
        return significant(value, 2)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
