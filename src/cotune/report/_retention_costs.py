"""What each method cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cotune.report._layout import DASH, duration, significant
from cotune.report._retention_data import RetentionCost, RetentionData

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class CostRow:
    """One method: its runs, and the mean of one run, as text."""

    method: str
    runs: str
    cpu: str
    wall: str
    tokens: str
    parameters: str
    disk: str


def cost_rows(data: RetentionData) -> list[CostRow]:
    """Tabulate the methods whose cost is known, the mean over all their runs."""
    rows = []
    for method in data.methods:
        costs = [run.cost for run in data.runs if run.method == method and run.cost is not None]
        if costs:
            rows.append(
                CostRow(
                    method=method,
                    runs=f"{len(costs):,}",
                    cpu=duration(_mean(costs, lambda cost: cost.cpu_seconds)),
                    wall=duration(_mean(costs, lambda cost: cost.wall_seconds)),
                    tokens=_whole(_mean(costs, lambda cost: cost.tokens)),
                    parameters=_whole(_mean(costs, lambda cost: cost.trainable_parameters)),
                    disk=size(_mean(costs, lambda cost: cost.disk_bytes)),
                )
            )
    return rows


def size(n_bytes: float) -> str:
    """Text of a size: ``"512 bytes"``, ``"1.2 MB"``."""
    if not math.isfinite(n_bytes):
        return DASH
    power = 0
    while n_bytes >= 999.5 and power < len(_UNITS) - 1:
        n_bytes, power = n_bytes / 1000, power + 1
    return f"{significant(n_bytes, 2) if n_bytes < 100 and power else round(n_bytes)} {_UNITS[power]}"


def _mean(costs: Sequence[RetentionCost], value: Callable[[RetentionCost], float | None]) -> float:
    known = [v for cost in costs if (v := value(cost)) is not None and math.isfinite(v)]
    return fmean(known) if known else math.nan


def _whole(value: float) -> str:
    return f"{round(value):,}" if math.isfinite(value) else DASH
