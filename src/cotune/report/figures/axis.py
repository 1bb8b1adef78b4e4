"""A linear axis with ticks at round numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.ticker import MaxNLocator

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
        places = MaxNLocator(ticks, integer=whole, steps=[1, 2, 5, 10]).tick_values(low, high)
        inside = [v for v in places if low - 1e-9 * (high - low) <= v <= high + 1e-9 * (high - low)]
        axis = cls(low, high, start, end, ())
        step = min((b - a for a, b in pairwise(inside)), default=high - low)
        texts = [(axis.at(v), _tick_text(float(v), float(step))) for v in inside]
        return cls(low, high, start, end, tuple(texts))

    def at(self, value: float) -> float:
        """Px of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _tick_text(value: float, step: float) -> str:
    if value and abs(value) >= 1e5:
        return significant(value, 2)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
