"""What every arm trains and what it comes to over the tasks: average, spread and the worst of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cotune.evaluation.comparison import ArmAverage, format_number
from cotune.report._data import ReportData
from cotune.report._layout import DASH, count


@dataclass(frozen=True, slots=True)
class ArmLine:
    """One arm at one budget in one metric, as text."""

    arm: str
    adapters: str
    parameters: str
    budget: str
    metric: str
    average: str
    spread: str
    worst: str


def arm_lines(data: ReportData) -> tuple[ArmLine, ...]:
    """Tabulate the arms; none where it is not known what they train."""
    trained = {arm.name: arm for arm in data.arms}
    if data.comparison is None or not trained:
        return ()
    lines = []
    for average in data.comparison.averages:
        arm = trained[average.arm]
        decimals = _decimals(average)
        margin = average.score.margin
        error = f" ± {format_number(margin, decimals)}" if math.isfinite(margin) else " ± ?"
        known = math.isfinite(average.spread)
        lines.append(
            ArmLine(
                arm=average.arm,
                adapters=count(arm.adapters, "adapter"),
                parameters=DASH if arm.parameters is None else f"{arm.parameters:,}",
                budget=count(average.budget, "step"),
                metric=average.metric,
                average=format_number(average.score.mean, decimals) + error,
                spread=format_number(average.spread, decimals) if known else DASH,
                worst=f"{format_number(average.worst.value, decimals)} ({average.worst.task})",
            )
        )
    return tuple(lines)


def _decimals(average: ArmAverage) -> int:
    """Two digits of the standard error of the examples, or of the spread."""
    scale = next((s for s in (average.score.se_examples, average.spread) if s > 0), 0.01)
    return min(max(1 - math.floor(math.log10(scale)), 0), 6)
