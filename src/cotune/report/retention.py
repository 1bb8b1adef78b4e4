"""From the data of a retention report to its page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cotune.findings.retention import (
    PRETRAINED,
    At,
    RetentionCost,
    RetentionData,
    RetentionScores,
    kept_range,
    threshold_text,
    verdict_of,
)
from cotune.findings.wording import DASH, duration, percent, size
from cotune.report.figures.lines import LinePlot, legend_of
from cotune.report.retention_figures import (
    gradient_cosines,
    gradient_norms,
    label_shares,
    learning_curves,
    learning_rate_sweep,
    trade_off,
)
from cotune.report.retention_table import RetentionTable, table_of

TEMPLATE = "retention.html"


@dataclass(frozen=True, slots=True)
class AtRate:
    """What the page shows of one learning rate."""

    rate: str
    tables: dict[At, RetentionTable]
    curves: tuple[LinePlot, ...]
    shares: tuple[LinePlot, ...]
    cosines: tuple[LinePlot, ...]
    norms: tuple[LinePlot, ...]


@dataclass(frozen=True, slots=True)
class SweepRow:
    """What a method keeps at one learning rate: the mean, and the range over its seeds."""

    method: str
    rate: str
    runs: int
    kept: dict[At, tuple[str, str]]


def context(data: RetentionData) -> dict[str, object]:
    """Return what the template shows; see :func:`cotune.report.render_report`."""
    scores = RetentionScores(data)
    chosen: tuple[At, ...] = ("best",) if data.threshold is None else ("equal", "best")
    shots = scores.shots[-1] if scores.shots else 0
    sweeps = [plot for at in chosen if (plot := learning_rate_sweep(scores, shots, at)) is not None]
    return {
        "data": data,
        "legend_of": legend_of,
        "verdict": verdict_of(scores),
        "pretrained": PRETRAINED,
        "threshold": threshold_text(data),
        "chosen": chosen,
        "shots": shots,
        "rates": [_at_rate(scores, rate, chosen) for rate in data.learning_rates],
        "trade_off": trade_off(scores, shots),
        "sweeps": sweeps,
        "sweep_rows": _sweep_rows(scores, shots, chosen),
        "costs": cost_rows(data),
    }


def _at_rate(scores: RetentionScores, rate: float, chosen: Sequence[At]) -> AtRate:
    return AtRate(
        rate=f"{rate:g}",
        tables={at: table_of(scores, at, rate) for at in chosen},
        curves=learning_curves(scores, rate),
        shares=label_shares(scores, rate),
        cosines=gradient_cosines(scores, rate),
        norms=gradient_norms(scores, rate),
    )


def _sweep_rows(scores: RetentionScores, shots: int, chosen: Sequence[At]) -> list[SweepRow]:
    rows = []
    for method in scores.data.methods:
        for rate in scores.data.learning_rates:
            runs = scores.runs(method, rate)
            if runs:
                kept = {at: list(scores.kept(method, rate, at, shots).values()) for at in chosen}
                texts = {at: _kept_text(shares, len(runs)) for at, shares in kept.items()}
                rows.append(SweepRow(method, f"{rate:g}", len(runs), texts))
    return rows


def _kept_text(shares: Sequence[float], n_runs: int) -> tuple[str, str]:
    if not shares:
        return "not reached", ""
    return percent(sum(shares) / len(shares)), kept_range(shares, n_runs)


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


def _mean(costs: Sequence[RetentionCost], value: Callable[[RetentionCost], float | None]) -> float:
    known = [v for cost in costs if (v := value(cost)) is not None and math.isfinite(v)]
    return fmean(known) if known else math.nan


def _whole(value: float) -> str:
    return f"{round(value):,}" if math.isfinite(value) else DASH
