"""From the data of a retention report to its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cotune.report._environment import environment
from cotune.report._retention_costs import cost_rows
from cotune.report._retention_data import RetentionData
from cotune.report._retention_figures import (
    gradient_cosines,
    gradient_norms,
    label_shares,
    learning_curves,
    learning_rate_sweep,
    trade_off,
)
from cotune.report._retention_lines import LinePlot, legend_of
from cotune.report._retention_scores import At, RetentionScores
from cotune.report._retention_table import PRETRAINED, RetentionTable, kept_range, percent, table_of
from cotune.report._retention_verdict import threshold_text, verdict_of


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


def render(data: RetentionData) -> str:
    """Render a report; see :func:`cotune.report.render_report`."""
    scores = RetentionScores(data)
    chosen: tuple[At, ...] = ("best",) if data.threshold is None else ("equal", "best")
    shots = scores.shots[-1] if scores.shots else 0
    sweeps = [plot for at in chosen if (plot := learning_rate_sweep(scores, shots, at)) is not None]
    context = {
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
    return environment().get_template("retention.html").render(context)


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
