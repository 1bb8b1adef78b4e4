"""The order tasks are shown in, and how long names are shortened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cotune.exceptions import InputError
from cotune.findings.grouping import GroupingFindings


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive tasks of one group: ``start`` is a position in the order shown."""

    name: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Tasks in the order shown.

    Parameters
    ----------
    order : tuple of int
        Index into ``GroupingFindings.tasks`` of every position.
    names : tuple of str
        Task name at every position.
    spans : tuple of Span
        The groups, empty where the tasks were not grouped.
    """

    order: tuple[int, ...]
    names: tuple[str, ...]
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, data: GroupingFindings) -> Layout:
        """Order the tasks group by group, or as they come where there are no groups.

        Raises
        ------
        InputError
            If a task has two rows, or the groups do not hold every task exactly once.
        """
        index = {task.name: position for position, task in enumerate(data.tasks)}
        if len(index) < len(data.tasks):
            twice = next(name for name, count in Counter(t.name for t in data.tasks).items() if count > 1)
            raise InputError(f"Report {data.title!r} lists task {twice!r} twice; task names must be unique.")
        if data.grouping is None:
            names = tuple(index)
            return cls(tuple(range(len(names))), names, ())
        names = tuple(task for group in data.grouping.groups for task in group.tasks)
        if sorted(names) != sorted(index):
            held, wanted = Counter(names), Counter(list(index))
            odd = sorted((held - wanted) | (wanted - held))
            raise InputError(
                f"Groups of report {data.title!r} must hold every task exactly once, "
                f"which is not so for {odd[0]!r}."
            )
        spans, start = [], 0
        for group in data.grouping.groups:
            spans.append(Span(group.name, start, len(group.tasks)))
            start += len(group.tasks)
        return cls(tuple(index[name] for name in names), names, tuple(spans))

    def group_openers(self, names: Sequence[str]) -> tuple[str, ...]:
        """Find the first of ``names`` (in the order shown) in every group but the first that has any."""
        shown = set(names)
        firsts = []
        for span in self.spans:
            members = [name for name in self.names[span.start : span.start + span.size] if name in shown]
            firsts.extend(members[:1])
        return tuple(firsts[1:])


def shorten(name: str, limit: int) -> str:
    """Cut the middle out of a name longer than ``limit``: both ends tell tasks apart."""
    if len(name) <= limit:
        return name
    tail = (limit - 1) // 2
    return f"{name[: limit - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{name[len(name) - tail :]}"
