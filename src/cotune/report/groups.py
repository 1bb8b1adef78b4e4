"""What the sections on groups, on their proof and on other groupers show."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from sklearn.metrics import adjusted_rand_score

from cotune.exceptions import InputError
from cotune.findings.grouping import GroupingData, ReportData
from cotune.findings.wording import DASH, format_number, significant
from cotune.report.layout import Layout


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group with the references its members carry."""

    name: str
    size: int
    density: str
    tasks: tuple[str, ...]


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


def group_views(grouping: GroupingData) -> list[GroupView]:
    """Show the groups in the order given."""
    return [GroupView(g.name, len(g.tasks), significant(g.density), g.tasks) for g in grouping.groups]


def proof_facts(grouping: GroupingData) -> list[tuple[str, str]]:
    """Name and text of objective, relaxation and bound."""
    facts = [
        ("Grouper", grouping.method),
        ("Number of groups k", f"{len(grouping.groups)}, {grouping.k_rule or 'rule not recorded'}"),
        ("Objective: sum of the groups' densities (Eq. 3)", significant(grouping.objective, 6)),
    ]
    if grouping.sdp_value is not None:
        facts.append(("Value of the relaxation (Eq. 5)", significant(grouping.sdp_value, 6)))
    if grouping.upper_bound is not None:
        facts.append(("Proved upper bound for every partition into k", significant(grouping.upper_bound, 6)))
    if grouping.gap is not None:
        facts.append(("Relative gap between objective and bound", significant(grouping.gap, 2)))
    facts.append(("Certified", _certified(grouping)))
    return facts


def _certified(grouping: GroupingData) -> str:
    k = len(grouping.groups)
    if grouping.certified:
        return f"yes: within that gap, no partition into {k} has a higher objective on this matrix"
    if grouping.certified is None:
        return "no bound was computed"
    if grouping.upper_bound is not None and math.isfinite(grouping.upper_bound):
        room = significant(max(grouping.upper_bound - grouping.objective, 0.0), 2)
        return (
            f"no: another partition into {k} could have an objective higher by up to {room}, and by no more"
        )
    return "no"


def confidence_rows(data: ReportData, grouping: GroupingData, layout: Layout) -> list[ConfidenceRow]:
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
    found = _found_labels(data, layout)
    rows = zip(grouping.confidence, data.tasks, found, strict=True)
    return [
        ConfidenceRow(task.name, group, f"{100 * share:.0f} %")
        for share, task, group in sorted(rows, key=lambda row: row[0])
    ]


def grouper_rows(data: ReportData, grouping: GroupingData, layout: Layout) -> list[GrouperRow]:
    """Compare the found groups with every baseline on the same matrix.

    Raises
    ------
    InputError
        If a baseline or the reference does not have one label for every task.
    """
    found = _found_labels(data, layout)
    reference = None if data.reference is None else data.reference.labels
    if reference is not None:
        _check_labels(data, reference, data.reference.name if data.reference else "")
    rows = [_grouper_row(grouping.method, grouping.objective, found, found, reference)]
    for baseline in grouping.baselines:
        _check_labels(data, baseline.labels, baseline.name)
        rows.append(_grouper_row(baseline.name, baseline.objective, baseline.labels, found, reference))
    return rows


def _grouper_row(
    name: str,
    objective: float,
    labels: Sequence[Hashable],
    found: Sequence[Hashable],
    reference: Sequence[Hashable] | None,
) -> GrouperRow:
    return GrouperRow(
        name=name,
        k=len(set(labels)),
        objective=significant(objective, 6),
        with_found=DASH if labels is found else _agreement(labels, found),
        with_reference=DASH if reference is None else _agreement(labels, reference),
    )


def _agreement(left: Sequence[Hashable], right: Sequence[Hashable]) -> str:
    index = adjusted_rand_score([str(label) for label in left], [str(label) for label in right])
    return format_number(float(index), 2)


def label_rows(data: ReportData, grouping: GroupingData, layout: Layout) -> list[LabelRow]:
    """Group of every task under every grouper, in the order shown."""
    found = _found_labels(data, layout)
    columns = [
        found,
        *([str(label + 1) for label in baseline.labels] for baseline in grouping.baselines),
        *([] if data.reference is None else [list(data.reference.labels)]),
    ]
    return [
        LabelRow(name, tuple(column[index] for column in columns))
        for index, name in zip(layout.order, layout.names, strict=True)
    ]


def _found_labels(data: ReportData, layout: Layout) -> list[str]:
    labels = [""] * len(data.tasks)
    for span in layout.spans:
        for index in layout.order[span.start : span.start + span.size]:
            labels[index] = span.name
    return labels


def _check_labels(data: ReportData, labels: Sequence[Hashable], name: str) -> None:
    if len(labels) != len(data.tasks):
        raise InputError(
            f"The labels of {name!r} in a report must be one for each of its {len(data.tasks)} tasks, "
            f"got {len(labels)}."
        )
