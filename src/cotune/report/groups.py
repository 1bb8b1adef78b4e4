"""What the sections on groups, on their proof and on other groupers show."""

from __future__ import annotations

from dataclasses import dataclass

from cotune.exceptions import InputError
from cotune.findings.grouping import (
    GroupingData,
    GroupingFindings,
    TaskRow,
    certificate,
    found_labels,
    gain_text,
    groupers,
)
from cotune.findings.wording import DASH, format_number, significant
from cotune.report.layout import Layout


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group: its size, density and tasks, and their mean predicted gain over training each alone."""

    name: str
    size: int
    density: str
    tasks: tuple[TaskRow, ...]
    gain: str


@dataclass(frozen=True, slots=True)
class GrouperRow:
    """One grouper beside the others, agreement as adjusted Rand index."""

    name: str
    k: int
    objective: str
    with_found: str
    with_reference: str


@dataclass(frozen=True, slots=True)
class ConfidenceRow:
    """One task with its group and how often resamples of the runs left it there."""

    task: str
    group: str
    share: str


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One task with its group under every grouper and its reference label."""

    task: str
    labels: tuple[str, ...]


def group_views(data: GroupingFindings, grouping: GroupingData) -> list[GroupView]:
    """Show the groups in the order given."""
    unit = grouping.gain.unit if grouping.gain is not None else ""
    rows = {task.name: task for task in data.tasks}
    views = []
    for group in grouping.groups:
        text = gain_text(group.gain, unit) if group.gain is not None and len(group.tasks) > 1 else ""
        tasks = tuple(rows[name] for name in group.tasks)
        views.append(GroupView(group.name, len(tasks), significant(group.density), tasks, text))
    return views


def proof_facts(grouping: GroupingData) -> list[tuple[str, str]]:
    """Name and text of objective, relaxation and bound."""
    facts = [
        ("Grouper", "sdp" if grouping.density_labels else grouping.method),
        ("Number of groups k", f"{grouping.k}, {grouping.k_rule or 'rule not recorded'}"),
        ("Objective: sum of the groups' densities (Eq. 3)", significant(grouping.objective, 6)),
    ]
    if grouping.sdp_value is not None:
        facts.append(("Value of the relaxation (Eq. 5)", significant(grouping.sdp_value, 6)))
    if grouping.upper_bound is not None:
        facts.append(("Proved upper bound for every partition into k", significant(grouping.upper_bound, 6)))
    if grouping.gap is not None:
        facts.append(("Relative gap between objective and bound", significant(grouping.gap, 2)))
    facts.append(("Certified", certificate(grouping)))
    return facts


def beside(data: GroupingFindings, grouping: GroupingData) -> list[str]:
    """List the groups by density, where those of the report are others; empty where they are the same."""
    members: dict[int, list[str]] = {}
    for task, label in zip(data.tasks, grouping.density_labels, strict=bool(grouping.density_labels)):
        members.setdefault(label, []).append(task.name)
    groups = {frozenset(group.tasks) for group in grouping.groups}
    if {frozenset(names) for names in members.values()} == groups:
        return []
    return [", ".join(names) for names in members.values()]


def confidence_rows(data: GroupingFindings, grouping: GroupingData) -> list[ConfidenceRow]:
    """List the tasks from the least to the most sure of their group; none where runs were not resampled.

    Raises
    ------
    InputError
        If there is not one confidence for every task.
    """
    if not grouping.confidence:
        return []
    if len(grouping.confidence) != len(data.tasks):
        raise InputError(
            f"The confidence of the groups in a report must be one number for each of its {len(data.tasks)} "
            f"tasks, got {len(grouping.confidence)}."
        )
    found: tuple[str, ...] = found_labels(data, grouping)
    if grouping.density_labels:
        found = tuple(str(label + 1) for label in grouping.density_labels)
    rows = zip(grouping.confidence, data.tasks, found, strict=True)
    return [
        ConfidenceRow(task.name, group, f"{100 * share:.0f} %")
        for share, task, group in sorted(rows, key=lambda row: row[0])
    ]


def grouper_rows(data: GroupingFindings, grouping: GroupingData) -> list[GrouperRow]:
    """Tabulate the found groups and every baseline on the same matrix."""
    return [
        GrouperRow(
            name=grouper.name,
            k=grouper.k,
            objective=significant(grouper.objective, 6),
            with_found=_index(grouper.with_found),
            with_reference=_index(grouper.with_reference),
        )
        for grouper in groupers(data, grouping)
    ]


def _index(agreement: float | None) -> str:
    return DASH if agreement is None else format_number(agreement, 2)


def label_rows(data: GroupingFindings, grouping: GroupingData, layout: Layout) -> list[LabelRow]:
    """Group of every task under every grouper, in the order shown."""
    found = found_labels(data, grouping)
    columns = [
        found,
        *([str(label + 1) for label in baseline.labels] for baseline in grouping.baselines),
        *([] if data.reference is None else [list(data.reference.labels)]),
    ]
    return [
        LabelRow(name, tuple(column[index] for column in columns))
        for index, name in zip(layout.order, layout.names, strict=True)
    ]
