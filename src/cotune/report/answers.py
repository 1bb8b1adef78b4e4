"""What models answered before and after they were tuned: a few examples of every task."""

from __future__ import annotations

from dataclasses import dataclass

from cotune.findings.grouping import GroupingFindings
from cotune.findings.runs import AnsweredTask
from cotune.report.layout import Layout
from cotune.report.order import MANY, least_gains, losses_first


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """The tasks shown, and of how many answers are known."""

    rows: tuple[AnsweredTask, ...]
    of: int


def answer_table(data: GroupingFindings, layout: Layout) -> AnswerTable | None:
    """Choose the answers shown, of many tasks one each of those that lose most; None where none are known."""
    known = {task.name: task.answers for task in data.tasks if task.answers}
    if not known:
        return None
    gains = least_gains(data.comparison) if data.comparison is not None else {}
    shown = [name for name in losses_first(layout.names, gains) if name in known][:MANY]
    each = 1 if len(layout.names) > MANY else None
    return AnswerTable(tuple(AnsweredTask(name, tuple(known[name][:each])) for name in shown), len(known))
