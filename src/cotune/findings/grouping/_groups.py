"""The groups in words, how well they are proved, and how they agree with other partitions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.findings.grouping._gain import gain_text
from cotune.findings.grouping._records import GroupingData, GroupingFindings
from cotune.findings.wording import count, significant

_NAMED = 3
"""Tasks of a group named in the opening paragraph; the groups section has them all."""
_READABLE = 420
"""Letters up to which the groups are named in the opening paragraph; beyond, only their sizes are."""


@dataclass(frozen=True, slots=True)
class ComparedGroups(Brief):
    """What an algorithm made of the matrix.

    Parameters
    ----------
    name : str
        Its name.
    labels : tuple
        The group of every task.
    objective : float
        Sum of densities (Eq. 3).
    with_found, with_reference : float or None
        Adjusted Rand index with the groups found, and with the reference; None for themselves, and where
        there is no reference.
    """

    name: str
    labels: tuple[Hashable, ...]
    objective: float
    with_found: float | None
    with_reference: float | None

    @property
    def k(self) -> int:
        """Number of groups."""
        return len(set(self.labels))


def headline(findings: GroupingFindings) -> str:
    """Answer the study in one line."""
    if findings.comparison is not None:
        return findings.comparison.overall.answer
    grouping = findings.grouping
    if grouping is None:
        return "No groups yet."
    n, k = len(findings.tasks), len(grouping.groups)
    found = {1: "All tasks together", n: "Each task alone"}.get(k, count(k, "group") + " of tasks")
    if grouping.gain is not None:
        return f"{found}: {grouping.gain.sentence}; not compared by training."
    return f"{found}, by the density of affinities; not compared by training."


def groups_in_words(findings: GroupingFindings) -> str:
    """Say which tasks are together, or how many where their names would fill more than a paragraph."""
    tasks, grouping = findings.tasks, findings.grouping
    if grouping is None:
        return f"The {count(len(tasks), 'task')} of this study were not grouped."
    if len(tasks) == 1:
        return f"The only task, {tasks[0].name}, is a group of its own."
    groups = grouping.groups
    if len(groups) == 1:
        return f"All {count(len(tasks), 'task')} are one group{_proof(grouping)}."
    if len(groups) == len(tasks):
        return f"Each of the {count(len(tasks), 'task')} is a group of its own{_proof(grouping)}."
    opening = f"The {count(len(tasks), 'task')} form {count(len(groups), 'group')}{_proof(grouping)}"
    named = "; ".join(_members(group.tasks) for group in groups)
    if len(named) <= _READABLE:
        return f"{opening}: {named}."
    sizes = sorted((len(group.tasks) for group in groups), reverse=True)
    return (
        f"{opening}, the largest of {count(sizes[0], 'task')} and the smallest of {count(sizes[-1], 'task')}."
    )


def _proof(grouping: GroupingData) -> str:
    if grouping.gain is not None:
        bound = gain_text(grouping.gain.upper_bound, grouping.gain.unit)
        if grouping.gain.optimal:
            return ", and no other partition is predicted to gain more"
        return f", and no partition is predicted to gain more than {bound} a task over each alone"
    if grouping.method != "sdp":  # its groups are not meant to have the highest objective
        return ""
    k = len(grouping.groups)
    if grouping.certified:
        return f", proved optimal among all partitions into {k}"
    if grouping.certified is False and grouping.gap is not None and math.isfinite(grouping.gap):
        return f", optimal among all partitions into {k} up to a proved gap of {100 * grouping.gap:.2g} %"
    return ""


def _members(tasks: Sequence[str]) -> str:
    if len(tasks) == 1:
        return f"{tasks[0]} alone"
    if len(tasks) > _NAMED + 1:
        return f"{', '.join(tasks[:_NAMED])} and {len(tasks) - _NAMED} more"
    return f"{', '.join(tasks[:-1])} and {tasks[-1]}"


def certificate(grouping: GroupingData) -> str:
    """Say whether the groups are proved optimal for their number, and if not, what room is left."""
    k = grouping.k
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


def found_labels(findings: GroupingFindings, grouping: GroupingData) -> tuple[str, ...]:
    """Name the group of every task, in the order of the tasks."""
    of_task = {task: group.name for group in grouping.groups for task in group.tasks}
    return tuple(of_task[task.name] for task in findings.tasks)


def groupers(findings: GroupingFindings, grouping: GroupingData) -> tuple[ComparedGroups, ...]:
    """Compare the found groups with every baseline on the same matrix.

    Raises
    ------
    InputError
        If a baseline or the reference does not have one label for every task.
    """
    n, found = len(findings.tasks), found_labels(findings, grouping)
    reference = None
    if findings.reference is not None:
        reference = _checked(findings.reference.labels, n, findings.reference.name)
    worth = grouping.objective if grouping.gain is None else grouping.gain.objective
    own = ComparedGroups(grouping.method, found, worth, None, _agreement(found, reference))
    return (
        own,
        *(
            ComparedGroups(
                other.name,
                labels := _checked(other.labels, n, other.name),
                other.objective,
                _agreement(labels, found),
                _agreement(labels, reference),
            )
            for other in grouping.baselines
        ),
    )


def _agreement(left: Sequence[Hashable], right: Sequence[Hashable] | None) -> float | None:
    from sklearn.metrics import adjusted_rand_score

    if right is None:
        return None
    return float(adjusted_rand_score([str(label) for label in left], [str(label) for label in right]))


def _checked(labels: Sequence[Hashable], n: int, name: str) -> tuple[Hashable, ...]:
    if len(labels) != n:
        raise InputError(
            f"The labels of {name!r} in a report must be one for each of its {n} tasks, got {len(labels)}."
        )
    return tuple(labels)
