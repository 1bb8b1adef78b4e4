"""From the data of a transfer study to its page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cotune.findings.transfer import MEASURES, Effect, TransferArmRow, TransferData, TransferFindings
from cotune.findings.wording import DASH, format_number, significant
from cotune.report.figures.lines import legend_of
from cotune.report.transfer_figures import (
    conflict_plots,
    examples_plots,
    marking_plots,
    scatter,
    task_plots,
    training_losses,
    training_plots,
)
from cotune.report.transfer_tables import conflict_rows, early_rows, leads, marking_rows

TEMPLATE = "transfer.html"


@dataclass(frozen=True, slots=True)
class _Cell:
    """Text of a number; ``best`` where it leads its column by more than the margin."""

    text: str
    best: bool = False


def context(findings: TransferFindings) -> dict[str, object]:
    """Return what the template shows; see :func:`cotune.report.render_report`."""
    data, relation = findings.data, findings.relation
    return {
        "data": data,
        "legend_of": legend_of,
        "findings": findings,
        "arm_rows": _arm_rows(findings),
        "curves": examples_plots(data),
        "task_curves": task_plots(data),
        "along": training_plots(data),
        "scatter": scatter(relation.points, relation.examples, relation.shots),
        "correlations": _correlations(findings),
        "effects": _effects(findings),
        "forgetting": _forgetting(findings),
        "losses": training_losses(data),
        "instructions": _instructions(data),
        "leads": leads(findings),
        "early": early_rows(findings),
        "conflicts": conflict_rows(findings),
        "conflict_plots": conflict_plots(findings),
        "markings": marking_rows(findings),
        "marking_plots": marking_plots(findings),
    }


def _arm_rows(findings: TransferFindings) -> list[tuple[TransferArmRow, list[_Cell]]]:
    """Mark in every column the arm that leads it by more than the margin, if there is one."""
    best = {(one.arm, one.measure) for one in findings.leads if one.decided}
    return [
        (row, [_cell(getattr(row, name), (row.arm, name) in best) for name in MEASURES])
        for row in (findings.pretrained, *findings.arms)
    ]


def _cell(value: float, best: bool) -> _Cell:
    return _Cell(format_number(value, 3) if math.isfinite(value) else DASH, best)


def _correlations(findings: TransferFindings) -> list[tuple[str, str, str, str, str]]:
    relation = findings.relation
    return [
        (
            name,
            significant(found.r),
            f"{significant(found.low, 2)} to {significant(found.high, 2)}",
            " to ".join(significant(end, 2) for end in interval),
            "< 0.0001" if found.p < 1e-4 else significant(found.p, 2),
        )
        for name, found, interval in (
            ("over all points", relation.overall, relation.overall_interval),
            ("within tasks", relation.within, relation.within_interval),
        )
    ]


def _effects(findings: TransferFindings) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for replay in findings.replay:
        for name, effect, better in (
            ("in-context loss", replay.in_context_loss, "lower"),
            ("in-context score", replay.in_context_score, "higher"),
            ("loss after fine-tuning", replay.transfer_loss, "lower"),
            ("score after fine-tuning", replay.transfer_score, "higher"),
        ):
            rows.append((f"{replay.ratio:g}", name, *_effect(effect), better))
    return rows


def _effect(effect: Effect) -> tuple[str, str, str, str]:
    return (
        significant(effect.mean, 3, signed=True),
        significant(effect.margin, 2),
        significant(effect.stderr_tasks, 2),
        significant(effect.stderr_seeds, 2),
    )


def _forgetting(findings: TransferFindings) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return by held-out task, for every arm, what in-context score and transfer lost."""
    by_place = {(entry.arm, entry.task): entry for entry in findings.forgetting}
    rows = []
    for task in findings.data.held_out:
        cells = []
        for row in findings.arms:
            entry = by_place.get((row.arm, task.name))
            cells.append(
                (DASH, DASH)
                if entry is None
                else (
                    _lost(entry.in_context, entry.in_context_margin),
                    _lost(entry.transfer, entry.transfer_margin),
                )
            )
        rows.append((task.name, cells))
    return rows


def _lost(value: float, margin: float) -> str:
    if not math.isfinite(value):
        return DASH
    spread = f" ± {format_number(margin, 3)}" if math.isfinite(margin) else ""
    return format_number(value, 3, signed=True) + spread


def _instructions(data: TransferData) -> list[tuple[str, list[str]]]:
    """Return by training task how many of its examples each arm's runs saw, on average."""
    rows = []
    for task in (task for task in data.tasks if not task.held_out):
        cells = []
        for arm in data.arms:
            runs = [dict(run.instructions) for run in data.of_arm(arm.label) if run.instructions]
            seen = [counts.get(task.name, 0) for counts in runs]
            cells.append(f"{sum(seen) / len(seen):,.0f}" if seen else DASH)
        rows.append((task.name, cells))
    return rows
