"""From the data of a retention report to its page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cotune.findings.retention import (
    CHANGE_HEADER,
    PRETRAINED,
    At,
    Kept,
    RetentionFindings,
    kept_range,
    threshold_text,
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
    trade_offs,
)
from cotune.report.retention_table import RetentionTable, retention_table

TEMPLATE = "retention.html"


@dataclass(frozen=True, slots=True)
class AtRate:
    """What the page shows of one learning rate."""

    rate: str
    tables: dict[At, RetentionTable]
    curves: tuple[LinePlot, ...]
    shares: tuple[LinePlot, ...]
    first_words: tuple[LinePlot, ...]
    cosines: tuple[LinePlot, ...]
    norms: tuple[LinePlot, ...]


@dataclass(frozen=True, slots=True)
class SweepRow:
    """What a method keeps at one learning rate: the mean, and the range over its seeds."""

    method: str
    rate: str
    runs: int
    kept: dict[At, tuple[str, str]]


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


def context(findings: RetentionFindings) -> dict[str, object]:
    """Return what the template shows; see :func:`cotune.report.render_report`."""
    data, shots = findings.data, findings.scores.most_shots
    sweeps = (learning_rate_sweep(findings, at) for at in findings.chosen)
    return {
        "data": data,
        "legend_of": legend_of,
        "verdict": findings.verdict,
        "pretrained": PRETRAINED,
        "threshold": threshold_text(data),
        "chosen": findings.chosen,
        "shots": shots,
        "rates": [_at_rate(findings, rate) for rate in data.learning_rates],
        "trade_off": trade_off(findings.scores, shots),
        "trade_offs": trade_offs(findings.scores, shots),
        "sweeps": [plot for plot in sweeps if plot is not None],
        "sweep_rows": _sweep_rows(findings),
        "answered": findings.answered,
        "change_header": CHANGE_HEADER,
        "changes": {at: [c for c in findings.changes if c.at == at] for at in findings.chosen},
        "costs": cost_rows(findings),
    }


def _at_rate(findings: RetentionFindings, rate: float) -> AtRate:
    scores = findings.scores
    return AtRate(
        rate=f"{rate:g}",
        tables={at: retention_table(findings, at=at, learning_rate=rate) for at in findings.chosen},
        curves=learning_curves(scores, rate),
        shares=label_shares(scores, rate),
        first_words=label_shares(scores, rate, "first_word"),
        cosines=gradient_cosines(scores, rate),
        norms=gradient_norms(scores, rate),
    )


def _sweep_rows(findings: RetentionFindings) -> list[SweepRow]:
    rows: dict[tuple[str, float], SweepRow] = {}
    for kept in findings.kept:
        row = SweepRow(kept.method, f"{kept.learning_rate:g}", kept.runs, {})
        rows.setdefault((kept.method, kept.learning_rate), row).kept[kept.at] = _kept_text(kept)
    return list(rows.values())


def _kept_text(kept: Kept) -> tuple[str, str]:
    if not kept.shares:
        return "not reached", ""
    return percent(kept.mean), kept_range(list(kept.shares.values()), kept.runs)


def cost_rows(findings: RetentionFindings) -> list[CostRow]:
    """Tabulate the methods whose cost is known."""
    return [
        CostRow(
            method=cost.method,
            runs=f"{cost.runs:,}",
            cpu=duration(cost.cpu_seconds),
            wall=duration(cost.wall_seconds),
            tokens=_whole(cost.tokens),
            parameters=_whole(cost.trainable_parameters),
            disk=size(cost.disk_bytes),
        )
        for cost in findings.costs
    ]


def _whole(value: float) -> str:
    return f"{round(value):,}" if math.isfinite(value) else DASH
