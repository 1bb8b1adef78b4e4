"""From the data of a report to its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cotune.exceptions import InputError
from cotune.findings.comparison import arm_words
from cotune.findings.grouping import GroupingFindings, groups_in_words, headline
from cotune.findings.runs import RunKind, total
from cotune.findings.wording import DASH, duration
from cotune.report.affinity import affinity_facts, affinity_maps, co_assignment_map, group_means
from cotune.report.answers import answer_table
from cotune.report.comparison import arm_lines, others, score_tables, verdict_rows
from cotune.report.figures.curves import curve
from cotune.report.figures.dotplot import dot_plots
from cotune.report.gains import (
    agreement_rows,
    gain_rows,
    gains_map,
    negative_transfer_plot,
    negative_transfer_rows,
)
from cotune.report.groups import beside, confidence_rows, group_views, grouper_rows, label_rows, proof_facts
from cotune.report.layout import Layout
from cotune.report.order import MANY
from cotune.report.predicted import predicted_section
from cotune.report.sweep import sweep_lines

TEMPLATE = "grouping.html"


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


def context(data: GroupingFindings) -> dict[str, object]:
    """Return what the template shows; see :func:`cotune.report.render_report`."""
    if not data.tasks:
        raise InputError(f"Report {data.title!r} has no task; at least one is needed.")
    layout = Layout.of(data)
    return {
        "data": data,
        "layout": layout,
        "many": len(data.tasks) > MANY,
        "headline": headline(data),
        "groups_in_words": groups_in_words(data),
        "affinity": _affinity(data, layout),
        "grouping": _grouping(data, layout),
        "predicted": _predicted(data, layout),
        "comparison": _comparison(data, layout),
        "sweep": sweep_lines(data.sweep),
        "runs": _runs(data.runs) if data.runs else None,
        "answered": answer_table(data, layout),
        # Of a table alone nothing is known of runs and tasks but their scores and names.
        "of_study": bool(data.runs or data.failures or any(task.metric for task in data.tasks)),
    }


def _affinity(data: GroupingFindings, layout: Layout) -> dict[str, object] | None:
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
        "negative_transfer": negative_transfer_rows(data.affinity),
        "negative_transfer_plot": negative_transfer_plot(data.affinity),
    }


def _grouping(data: GroupingFindings, layout: Layout) -> dict[str, object] | None:
    grouping = data.grouping
    if grouping is None:
        return None
    together = grouping.co_assignment
    return {
        "groups": group_views(data, grouping),
        "proof": proof_facts(grouping),
        "curves": [curve(rule) for rule in grouping.k_path],
        "groupers": grouper_rows(data, grouping),
        "labels": label_rows(data, grouping, layout),
        "confidence": confidence_rows(data, grouping),
        "together": None if together is None else co_assignment_map(data, together, layout),
        "notes": grouping.notes,
        "beside": beside(data, grouping),
    }


def _predicted(data: GroupingFindings, layout: Layout) -> dict[str, object] | None:
    if data.grouping is None or data.grouping.gain is None:
        return None
    return predicted_section(data, data.grouping.gain, layout)


def _comparison(data: GroupingFindings, layout: Layout) -> dict[str, object] | None:
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
        "course": comparison.course,
        "verdicts": comparison.verdicts,
        "rows": verdict_rows(comparison),
        "others": [arm_words(arm) for arm in others(comparison)],
        "arms_in_words": {arm: arm_words(arm) for arm in comparison.arms},
        "reference": arm_words(comparison.reference),
        "arms": arm_lines(data),
        "tables": score_tables(comparison, layout),
        "plots": dot_plots(comparison, layout),
        "notes": comparison.notes,
    }


def _runs(kinds: Sequence[RunKind]) -> dict[str, object]:
    return {"rows": [_run_row(kind) for kind in kinds], "total": _run_row(total(kinds))}


def _run_row(kind: RunKind) -> RunRow:
    return RunRow(
        kind=kind.kind,
        done=f"{kind.done:,}",
        reused=f"{kind.reused:,}",
        failed=f"{kind.failed:,}",
        cpu=duration(kind.cpu_seconds),
        wall=duration(kind.wall_seconds),
        tokens=DASH if kind.tokens is None else f"{kind.tokens:,}",
    )
