"""Long score tables: a row for every score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cotune.affinity.tables import _names as names
from cotune.affinity.tables._columns import Column, Columns, check_numbers, listed
from cotune.affinity.tables._numbers import is_missing
from cotune.affinity.tables._roles import TaskColumn
from cotune.affinity.tables._settings import Settings
from cotune.affinity.tables._subsets import read_subsets
from cotune.affinity.tables._table import Table, check_names, scored
from cotune.affinity.tables._wide import refuse_full
from cotune.exceptions import InputError, SettingError

Rows = NDArray[np.intp]


def task_column(columns: Columns) -> Column | None:
    """Return the column that names the task of every score, if the table is long.

    It is called like one, and the same task stands in several rows.
    """
    found = [c for c in columns.columns if c.plain in names.TASK and not c.empty]
    found = [c for c in found if len(set(c.cells)) < len(c.cells)]
    if len(found) > 1:
        exact = [c for c in found if c.plain in ("task", "task_name")]
        found = exact or found
    return found[0] if found and _score_columns(columns, found[0]) else None


def read_long(columns: Columns, task: Column, settings: Settings) -> Table:
    """Read a table with a row for every score.

    Raises
    ------
    InputError
        If runs, scores or which tasks were trained together cannot be told.
    """
    notes = list(columns.notes)
    score, settings = _score_column(columns, task, settings, notes)
    rows = np.flatnonzero(~np.array([is_missing(c) for c in score.cells]))
    rows = _of_metric(columns, task, rows, settings, notes)
    rows = np.array([r for r in rows if task.cells[r] not in settings.leave_out], dtype=np.intp)
    check_numbers(columns.sheet, score)
    tasks = check_names(columns.path, list(dict.fromkeys(task.cells[r] for r in rows)))
    notes.append(
        f"a row a score: tasks from column '{task.name}' ({listed(tasks)}), scores from '{score.name}'"
    )
    keys = _run_keys(columns, task, rows, settings)
    runs = _runs(columns, keys, task, rows, notes)
    place = {name: at for at, name in enumerate(tasks)}
    scores = np.full((int(runs.max()) + 1, len(tasks)), np.nan)
    errors = scores.copy()
    beside, of_rows = _errors(columns, score, notes)
    for row, run in zip(rows.tolist(), runs.tolist(), strict=True):
        at = run, place[task.cells[row]]
        if not np.isnan(scores[at]):
            raise InputError(
                f"{columns.path}, line {columns.sheet.lines[row]}: run {_shown(keys, row)} has a second "
                f"score of task '{task.cells[row]}'."
            )
        scores[at], errors[at] = score.numbers[row], of_rows[row]
    subset = _subset(keys, tasks, rows, runs, settings)
    if subset is not None:
        outside = ~np.isnan(scores) & ~subset[1]
        scores = np.where(subset[1], scores, np.nan)
        notes.append(
            f"column '{subset[0]}' lists the tasks that each run trained"
            + (f"; {int(outside.sum())} scores of other tasks are left out" if outside.any() else "")
        )
    else:
        text = [c.name for c in columns.columns if not c.numeric and c not in (task, *keys) and c.name]
        refuse_full(columns.path, scores, text)
    for column in columns.columns:
        if column not in (task, score, *keys, *beside) and not column.empty:
            notes.append(f"left out: {column.shown} ({column.content})")
    return scored(tasks, scores, settings.lower_is_better, errors=errors, notes=tuple(notes))


def _score_columns(columns: Columns, task: Column) -> list[Column]:
    """Return the columns that may hold the scores: those called so, or else the only numbers left."""
    numeric = [c for c in columns.columns if c.numeric and c is not task and not c.empty]
    called = [c for c in numeric if c.plain in (names.SCORE | names.LOSS)]
    if called:
        return called
    other = names.RUN | names.SUBSET | names.SEED | names.STEP | names.COUNTER | names.SETTING | names.SUMMARY
    rest = [c for c in numeric if c.plain not in other and not c.counts]
    if len(rest) == 1:
        return rest
    means = [c for c in numeric if c.plain in names.MEAN]
    return means if not rest and len(means) == 1 else []


def _score_column(
    columns: Columns, task: Column, settings: Settings, notes: list[str]
) -> tuple[Column, Settings]:
    found = _score_columns(columns, task)
    if settings.metric is not None and len(found) > 1:
        named = [c for c in found if c.plain == names.plain(settings.metric)]
        found = named or found
    if len(found) > 1:
        raise SettingError(
            f"{columns.path}: columns {listed([c.name for c in found])} may all be the scores; name one with "
            "{metric}.",
            metric=("metric", found[0].name),
        )
    (score,) = found
    if score.plain in names.LOSS and not settings.lower_is_better:
        settings = replace(settings, lower_is_better=True)
        notes.append(f"lower is better, for the scores are called '{score.name}'")
    return score, settings


def _errors(columns: Columns, score: Column, notes: list[str]) -> tuple[list[Column], NDArray[np.float64]]:
    """Return the columns that tell standard errors of the scores, and the errors."""
    found = {
        kind: next((c for c in columns.columns if c.numeric and c.plain in words), None)
        for kind, words in (("spread", names.SPREAD), ("error", names.ERROR), ("count", names.COUNT))
    }
    task = TaskColumn(score.name, score, **found)
    beside = [found["error"]] if found["error"] else [found["spread"], found["count"]]
    known = [c for c in beside if c is not None]
    if len(known) < len(beside):
        return [], score.errors
    notes.append(f"{' and '.join(c.shown for c in known)}: read as the scores' standard errors")
    return known, task.errors()


def _of_metric(columns: Columns, task: Column, rows: Rows, settings: Settings, notes: list[str]) -> Rows:
    """Return the rows of one metric, where tasks have several."""
    column = next((c for c in columns.columns if c.plain in names.METRIC), None)
    if column is None:
        return rows
    metrics = list(dict.fromkeys(column.cells[r] for r in rows))
    if settings.metric is not None:
        kept = [r for r in rows if names.plain(column.cells[r]) == names.plain(settings.metric)]
        if not kept:
            raise InputError(
                f"{columns.path}: no score is of the metric '{settings.metric}'; there is {listed(metrics)}."
            )
        return np.array(kept, dtype=np.intp)
    of_task: dict[str, set[str]] = {}
    for r in rows:
        of_task.setdefault(task.cells[r], set()).add(column.cells[r])
    if any(len(found) > 1 for found in of_task.values()):
        raise SettingError(
            f"{columns.path}: tasks have several metrics ({listed(metrics)}); name one with {{metric}}.",
            metric=("metric", metrics[0]),
        )
    directions = {names.plain(m) in (names.LOWER_METRICS | names.LOSS) for m in metrics}
    if len(directions) > 1:
        raise InputError(
            f"{columns.path}: the metrics {listed(metrics)} differ in which way is better; change the sign "
            "of the losses, or leave their tasks out."
        )
    if directions == {True} and not settings.lower_is_better:
        raise SettingError(
            f"{columns.path}: the metric is {listed(metrics)}, which is better when lower; say {{lower}}.",
            lower=("lower_is_better", None),
        )
    notes.append(f"metric: {listed(metrics)}")
    return rows


def _run_keys(columns: Columns, task: Column, rows: Rows, settings: Settings) -> list[Column]:
    """Return the columns that together tell runs apart."""
    if settings.subset_column is not None:
        keys = columns.named([settings.subset_column], "the tasks of a run")
    else:
        keys = [c for c in columns.columns if c.plain in names.SUBSET and c is not task]
    keys += [
        c
        for c in columns.columns
        if c.plain in (names.RUN | names.SEED | {"id"}) and c not in (task, *keys) and not c.empty
    ]
    several = [c for c in keys if len({c.cells[r] for r in rows}) < len(rows)]
    if not several:
        raise SettingError(
            f"{columns.path}: no column tells which scores are of one run; call it run, or name the column "
            "that lists a run's tasks with {column}.",
            column=("subset_column", None),
        )
    step = next((c for c in columns.columns if c.plain in names.STEP and c not in several), None)
    if step is not None and len({step.cells[r] for r in rows}) > 1:
        per_run: dict[tuple[str, ...], set[str]] = {}
        for r in rows:
            per_run.setdefault(tuple(c.cells[r] for c in several), set()).add(step.cells[r])
        if any(len(steps) > 1 for steps in per_run.values()):
            raise InputError(
                f"{columns.path}: runs have scores at several values of '{step.name}' ({step.content}); keep "
                "the rows of one."
            )
    return several


def _runs(columns: Columns, keys: Sequence[Column], task: Column, rows: Rows, notes: list[str]) -> Rows:
    """Give runs numbers; several scores of a task under one subset are of as many runs."""
    number: dict[tuple[str, ...], int] = {}
    told = [c for c in keys if c.plain not in names.SUBSET]
    seen: dict[tuple[str, ...], int] = {}
    found = []
    for row in rows.tolist():
        key = tuple(column.cells[row] for column in keys)
        if not any(c.plain in (names.RUN | {"id"}) for c in told):
            again = (*key, task.cells[row])
            seen[again] = seen.get(again, 0) + 1
            key = (*key, str(seen[again]))
        found.append(number.setdefault(key, len(number)))
    if any(times > 1 for times in seen.values()):
        notes.append("several scores of a task under one subset: taken for as many runs, in their order")
    notes.append(f"runs told by {' and '.join(c.shown for c in keys)}")
    return np.array(found, dtype=np.intp)


def _subset(
    keys: Sequence[Column], tasks: Sequence[str], rows: Rows, runs: Rows, settings: Settings
) -> tuple[str, NDArray[np.bool_]] | None:
    """Read which tasks each run trained, where a column lists them."""
    first = {run: row for row, run in reversed(list(zip(rows.tolist(), runs.tolist(), strict=True)))}
    for column in keys:
        if column.name != settings.subset_column and column.plain not in names.SUBSET:
            continue
        said = read_subsets([column.cells[first[run]] for run in range(len(first))], tasks)
        if said is not None:
            return column.name, said
        if column.name == settings.subset_column:
            raise InputError(
                f"Column '{column.name}' does not list tasks of the table in every run, but {column.content}."
            )
    return None


def _shown(keys: Sequence[Column], row: int) -> str:
    return ", ".join(column.cells[row] for column in keys)
