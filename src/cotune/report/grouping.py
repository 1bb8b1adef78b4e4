"""From the data of a report to its page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cotune.exceptions import InputError
from cotune.findings.grouping import ReportData
from cotune.findings.runs import RunKind
from cotune.findings.wording import DASH, duration
from cotune.report.affinity import (
    affinity_facts,
    affinity_maps,
    agreement_rows,
    co_assignment_map,
    gain_rows,
    gains_map,
    group_means,
    transfer_plot,
    transfer_rows,
)
from cotune.report.comparison import arm_lines, groups_in_words, headline, others, score_tables, verdict_rows
from cotune.report.figures.curves import curve
from cotune.report.figures.dotplot import dot_plots
from cotune.report.groups import confidence_rows, group_views, grouper_rows, label_rows, proof_facts
from cotune.report.layout import Layout

TEMPLATE = "grouping.html"


def context(data: ReportData) -> dict[str, object]:
    """Return what the template shows; see :func:`cotune.report.render_report`."""
    if not data.tasks:
        raise InputError(f"Report {data.title!r} has no task; at least one is needed.")
    layout = Layout.of(data)
    return {
        "data": data,
        "layout": layout,
        "headline": headline(data),
        "groups_in_words": groups_in_words(data),
        "affinity": _affinity(data, layout),
        "grouping": _grouping(data, layout),
        "comparison": _comparison(data, layout),
        "runs": {"rows": run_rows(data.runs), "total": run_total(data.runs)} if data.runs else None,
    }


def _affinity(data: ReportData, layout: Layout) -> dict[str, object] | None:
    if data.affinity is None:
        return None
    return {
        "maps": affinity_maps(data, data.affinity, layout),
        "facts": affinity_facts(data.affinity, len(layout.names)),
        "means": group_means(data.affinity, layout),
        "steps": data.affinity.steps,
        "gains": gains_map(data, data.affinity, layout),
        "gain_rows": gain_rows(data, data.affinity, layout),
        "agreement": agreement_rows(data, data.affinity),
        "transfer": transfer_rows(data.affinity),
        "transfer_plot": transfer_plot(data.affinity),
    }


def _grouping(data: ReportData, layout: Layout) -> dict[str, object] | None:
    grouping = data.grouping
    if grouping is None:
        return None
    together = grouping.co_assignment
    return {
        "groups": group_views(grouping),
        "proof": proof_facts(grouping),
        "curves": [curve(rule) for rule in grouping.k_path],
        "groupers": grouper_rows(data, grouping, layout),
        "labels": label_rows(data, grouping, layout),
        "confidence": confidence_rows(data, grouping, layout),
        "together": None if together is None else co_assignment_map(data, together, layout),
        "notes": grouping.notes,
    }


def _comparison(data: ReportData, layout: Layout) -> dict[str, object] | None:
    comparison = data.comparison
    if comparison is None:
        return None
    unknown = [task for task in comparison.tasks if task not in layout.names]
    if unknown:
        raise InputError(
            f"The comparison of report {data.title!r} has a task the report lacks: {unknown[0]!r}."
        )
    return {
        "overall": comparison.overall,
        "verdicts": comparison.verdicts,
        "rows": verdict_rows(comparison),
        "others": others(comparison),
        "arms": arm_lines(data),
        "tables": score_tables(comparison, layout),
        "plots": dot_plots(comparison, layout),
        "notes": comparison.notes,
    }


@dataclass(frozen=True, slots=True)
class RunRow:
    """One kind of run as text."""

    kind: str
    done: str
    reused: str
    failed: str
    cpu: str
    wall: str
    tokens: str


def run_rows(kinds: Sequence[RunKind]) -> list[RunRow]:
    """Every kind in the order given."""
    return [_row(kind) for kind in kinds]


def run_total(kinds: Sequence[RunKind]) -> RunRow:
    """All kinds together; unknown times and tokens are left out of the sums, and unknown if all are."""
    return _row(
        RunKind(
            kind="all runs",
            done=sum(k.done for k in kinds),
            reused=sum(k.reused for k in kinds),
            failed=sum(k.failed for k in kinds),
            cpu_seconds=_sum([k.cpu_seconds for k in kinds]),
            wall_seconds=_sum([k.wall_seconds for k in kinds]),
            tokens=sum(k.tokens for k in kinds if k.tokens is not None)
            if any(k.tokens is not None for k in kinds)
            else None,
        )
    )


def _row(kind: RunKind) -> RunRow:
    return RunRow(
        kind=kind.kind,
        done=f"{kind.done:,}",
        reused=f"{kind.reused:,}",
        failed=f"{kind.failed:,}",
        cpu=duration(kind.cpu_seconds),
        wall=duration(kind.wall_seconds),
        tokens=DASH if kind.tokens is None else f"{kind.tokens:,}",
    )


def _sum(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) if known else math.nan
