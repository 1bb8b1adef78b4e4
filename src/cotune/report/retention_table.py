"""The paper's table: tasks by methods, few-shot in context, the target on top (Tables 2 and 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cotune.findings.retention import (
    PRETRAINED,
    At,
    Mean,
    RetentionCheckpoint,
    RetentionFindings,
    RetentionScores,
    RetentionTask,
    kept_range,
)
from cotune.findings.wording import DASH, count, format_number, percent


@dataclass(frozen=True, slots=True)
class RetentionCell:
    """Text of a score and of its standard error; ``kind`` is "high" or "low" for the extremes of a row."""

    text: str
    error: str = ""
    kind: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class RetentionTableRow:
    """One task, or an average.

    Parameters
    ----------
    name, metric : str
        The task and its metric; the metric of an average is empty.
    kind : {"target", "task", "summary"}
        Targets have one cell a column, the others one for each number of shots.
    cells : tuple of tuple of RetentionCell
        For each column its cells.
    """

    name: str
    metric: str
    kind: str
    cells: tuple[tuple[RetentionCell, ...], ...]


@dataclass(frozen=True, slots=True)
class RetentionTable:
    """Scores of all methods at one learning rate, each at a checkpoint chosen the same way.

    Parameters
    ----------
    at : {"equal", "best"}
        The first checkpoint to reach the threshold, or the best one by validation score.
    learning_rate : float
        Of the last stage.
    columns : tuple of str
        ``"pretrained"`` and the methods that have runs.
    shots : tuple of int
        Demonstrations, in increasing order.
    rows : tuple of RetentionTableRow
        Targets, evaluation tasks, their average by type and over all, and what share of the pretrained
        average is kept.
    remarks : tuple of str
        Methods that are missing, or averaged over some of their seeds.
    """

    at: At
    learning_rate: float
    columns: tuple[str, ...]
    shots: tuple[int, ...]
    rows: tuple[RetentionTableRow, ...]
    remarks: tuple[str, ...]


def retention_table(
    findings: RetentionFindings, *, at: At = "equal", learning_rate: float | None = None
) -> RetentionTable:
    """Tabulate in-context scores before and after tuning, in percent where the metric's scale ends at 1.

    Parameters
    ----------
    findings : RetentionFindings
        What was found.
    at : {"equal", "best"}
        Compare where each method first reaches the same target score, or at its best target score.
    learning_rate : float, optional
        By default the first of the study.

    Returns
    -------
    RetentionTable
        As text; means over seeds and draws with their standard errors.
    """
    data, scores = findings.data, findings.scores
    rate = data.learning_rates[0] if learning_rate is None else learning_rate
    chosen = {method: scores.checkpoints(method, rate, at) for method in data.methods}
    present = [method for method in data.methods if chosen[method]]
    columns = [[data.pretrained], *(list(chosen[method].values()) for method in present)]
    rows = [_target_row(scores, task, columns) for task in data.targets]
    rows += [_task_row(scores, task, columns) for task in data.evaluation]
    rows += [_type_row(scores, kind, tasks, columns) for kind, tasks in scores.types.items()]
    if scores.averaged:
        rows.append(_average_row(scores, columns))
        rows.append(_kept_row(scores, present, rate, at))
    return RetentionTable(
        at=at,
        learning_rate=rate,
        columns=(PRETRAINED, *present),
        shots=scores.shots,
        rows=tuple(rows),
        remarks=tuple(_remarks(scores, rate, at, {m: len(chosen[m]) for m in data.methods})),
    )


def _target_row(
    scores: RetentionScores, task: RetentionTask, columns: Sequence[Sequence[RetentionCheckpoint]]
) -> RetentionTableRow:
    means = [scores.target(column, task.name) for column in columns]
    cells = _mark(means, task.higher_is_better)
    return RetentionTableRow(task.name, task.metric, "target", tuple((cell,) for cell in cells))


def _task_row(
    scores: RetentionScores, task: RetentionTask, columns: Sequence[Sequence[RetentionCheckpoint]]
) -> RetentionTableRow:
    by_shots = [
        _mark([scores.in_context(column, task.name, shots) for column in columns], task.higher_is_better)
        for shots in scores.shots
    ]
    return RetentionTableRow(task.name, task.metric, "task", tuple(zip(*by_shots, strict=True)))


def _average_row(
    scores: RetentionScores, columns: Sequence[Sequence[RetentionCheckpoint]]
) -> RetentionTableRow:
    by_shots = [_mark([scores.average(column, shots) for column in columns], True) for shots in scores.shots]
    n_averaged, n_tasks = len(scores.averaged), len(scores.data.evaluation)
    name = "average" if n_averaged == n_tasks else f"average of {n_averaged} of {n_tasks} tasks"
    return RetentionTableRow(name, "", "summary", tuple(zip(*by_shots, strict=True)))


def _type_row(
    scores: RetentionScores,
    kind: str,
    tasks: Sequence[str],
    columns: Sequence[Sequence[RetentionCheckpoint]],
) -> RetentionTableRow:
    by_shots = [
        _mark([scores.average(column, shots, tasks) for column in columns], True) for shots in scores.shots
    ]
    name = f"average, {kind} ({count(len(tasks), 'task')})"
    return RetentionTableRow(name, "", "summary", tuple(zip(*by_shots, strict=True)))


def _kept_row(
    scores: RetentionScores, methods: Sequence[str], learning_rate: float, at: At
) -> RetentionTableRow:
    def cell(method: str, shots: int) -> RetentionCell:
        kept = list(scores.kept(method, learning_rate, at, shots).values())
        if not kept:
            return RetentionCell(DASH)
        return RetentionCell(percent(sum(kept) / len(kept)), title=kept_range(kept))

    pretrained = tuple(RetentionCell(percent(1.0)) for _ in scores.shots)
    of_methods = (tuple(cell(method, shots) for shots in scores.shots) for method in methods)
    return RetentionTableRow("kept of pretrained", "", "summary", (pretrained, *of_methods))


def _mark(means: Sequence[Mean | None], higher_is_better: bool) -> list[RetentionCell]:
    """Mark the highest and the lowest of a row as shown, as the paper does, unless all are the same."""
    scale, decimals = (100, 1) if higher_is_better else (1, 3)
    shown = [None if mean is None else round(scale * mean.mean, decimals) for mean in means]
    known = [value for value in shown if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    cells = []
    for mean, value in zip(means, shown, strict=True):
        if mean is None or value is None:
            cells.append(RetentionCell(DASH))
            continue
        extreme = {low: "low", high: "high"}.get(value, "") if low < high else ""
        error = format_number(scale * mean.stderr, decimals) if math.isfinite(mean.stderr) else ""
        cells.append(RetentionCell(format_number(value, decimals), error, extreme, count(mean.seeds, "run")))
    return cells


def _remarks(scores: RetentionScores, learning_rate: float, at: At, found: dict[str, int]) -> list[str]:
    remarks = []
    for method, n_found in found.items():
        n_runs = len(scores.runs(method, learning_rate))
        if n_runs == 0:
            remarks.append(f"{method} was not run at this learning rate.")
        elif n_found < n_runs and at == "equal":
            reached = "no run" if n_found == 0 else f"{n_found} of {n_runs} runs"
            remarks.append(f"{method} reached the target score in {reached}.")
        elif n_found < n_runs:
            remarks.append(
                f"{method} has a best checkpoint measured in context in {n_found} of {n_runs} runs."
            )
    return remarks
