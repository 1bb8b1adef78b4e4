"""From the data of a report to its page."""

from __future__ import annotations

from cotune.exceptions import InputError
from cotune.report._affinity import affinity_facts, affinity_maps, co_assignment_map, group_means
from cotune.report._arms import arm_lines
from cotune.report._curves import curve
from cotune.report._data import ReportData
from cotune.report._dotplot import dot_plots
from cotune.report._environment import environment
from cotune.report._groups import confidence_rows, group_views, grouper_rows, label_rows, proof_facts
from cotune.report._layout import Layout
from cotune.report._results import groups_in_words, headline, others, score_tables, verdict_rows
from cotune.report._runs import run_rows, run_total
from cotune.report._transfer import agreement_rows, gain_rows, gains_map, transfer_plot, transfer_rows


def render(data: ReportData) -> str:
    """Render a report; see :func:`cotune.report.render_report`."""
    if not data.tasks:
        raise InputError(f"Report {data.title!r} has no task; at least one is needed.")
    layout = Layout.of(data)
    context = {
        "data": data,
        "layout": layout,
        "headline": headline(data),
        "groups_in_words": groups_in_words(data),
        "affinity": _affinity(data, layout),
        "grouping": _grouping(data, layout),
        "comparison": _comparison(data, layout),
        "runs": {"rows": run_rows(data.runs), "total": run_total(data.runs)} if data.runs else None,
    }
    return environment().get_template("report.html").render(context)


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
