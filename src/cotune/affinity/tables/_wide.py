"""Wide score tables: a row for every run, a column for every task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cotune.affinity.tables import _names as names
from cotune.affinity.tables._columns import Column, Columns, listed
from cotune.affinity.tables._roles import Roles, TaskColumn, describe_roles, find_roles, is_full, sums_up
from cotune.affinity.tables._settings import Settings
from cotune.affinity.tables._square import read_unnamed
from cotune.affinity.tables._subsets import read_subsets
from cotune.affinity.tables._table import Table, check_names, scored
from cotune.exceptions import InputError, SettingError

Array = NDArray[np.float64]


def read_wide(columns: Columns, settings: Settings) -> Table:
    """Read a table with a row for every run.

    Raises
    ------
    InputError
        If it does not say which tasks were trained together, or cannot be read in one way alone.
    """
    roles = find_roles(columns, settings)
    roles.tasks, settings = _one_metric(columns, roles, settings)
    if len(roles.tasks) < 2:
        said = "; ".join(
            note for note in describe_roles(roles, len(columns.columns)) if note.startswith("left")
        )
        raise InputError(
            f"{columns.path}: grouping needs at least two tasks, got {len(roles.tasks)}"
            + (f" ({said})." if said else ".")
        )
    tasks = check_names(columns.path, [task.name for task in roles.tasks])
    notes = [*columns.notes, *describe_roles(roles, len(columns.columns))]
    rows = _runs(columns, roles, notes)
    scores = np.column_stack([task.column.numbers for task in roles.tasks])[rows]
    errors = np.column_stack([task.errors() for task in roles.tasks])[rows]
    labels = [_with_rows(column, rows) for column in roles.labels]
    subset = _subset_column(columns, labels, tasks, scores, settings)
    if subset is None:
        matrix = read_unnamed(columns.path, tasks, scores, settings, notes)
        if matrix is not None:
            return matrix
        refuse_full(columns.path, scores, [column.name for column in labels if column.name])
    else:
        scores = _inside(columns.path, subset, tasks, scores, notes)
    if settings.kind == "affinity matrix":
        raise InputError(f"{columns.path}: an affinity matrix must be square, got {scores.shape}.")
    if settings.lower_is_better and _speaks_of_losses(tasks):
        notes.append("lower is better")
    return scored(tasks, scores, settings.lower_is_better, errors=errors, notes=tuple(notes))


def _with_rows(column: Column, rows: NDArray[np.intp]) -> Column:
    """Return a column with some of its rows."""
    cells = [column.cells[row] for row in rows.tolist()]
    return replace(
        column,
        cells=cells,
        numbers=column.numbers[rows],
        errors=column.errors[rows],
        blank=column.blank[rows],
    )


def refuse_full(path: str, scores: Array, labels: Sequence[str] = ()) -> None:
    """Refuse scores that do not say which tasks were trained together.

    Raises
    ------
    SettingError
        If every run, or nearly, has a score of every task.
    """
    known = ~np.isnan(scores)
    if len(scores) < 2:
        raise InputError(
            f"{path}: one run tells nothing of which tasks help each other; run several subsets."
        )
    if not (known.sum(1) > 1).any():
        raise InputError(f"{path}: no run has two tasks, so nothing tells which help each other.")
    if is_full(scores):
        full = np.asarray(known.all(axis=1), dtype=bool)
        every = "every run has" if full.all() else f"{int(full.sum())} of {len(full)} runs have"
        every += " a score of every task"
        every += _often(scores)
        raise SettingError(
            f"{path}: {every}, so which tasks were trained together is unknown; leave "
            "the cells of the others blank, or name the column that lists a run's tasks with {column}.",
            column=("subset_column", next(iter(labels), None)),
        )


def _often(scores: Array) -> str:
    """Name the number that stands in many cells, as if it stood for none."""
    values, counts = np.unique(scores[~np.isnan(scores)], return_counts=True)
    most = int(counts.argmax())
    if counts[most] < max(0.1 * scores.size, 3):
        return ""
    return f" ({int(counts[most])} cells hold {values[most]:g}: if that stands for none, leave them blank)"


def _one_metric(columns: Columns, roles: Roles, settings: Settings) -> tuple[list[TaskColumn], Settings]:
    """Choose one of several metrics, and tell the direction where the names do."""
    words = names.HIGHER_METRICS | names.LOWER_METRICS
    found = {task.column.at: names.parted(task.name, words) for task in roles.tasks}
    metrics = {at: part for at, part in found.items() if part is not None}
    several = len({base for base, _ in metrics.values()}) < len(metrics)
    kinds = list(dict.fromkeys(metric for _, metric in metrics.values()))
    tasks = roles.tasks
    if several or (settings.metric and metrics):
        wanted = names.plain(settings.metric) if settings.metric else ""
        if wanted not in kinds:
            raise SettingError(
                f"{columns.path}: tasks have several metrics ({listed(kinds)}); name one with {{metric}}.",
                metric=("metric", kinds[0]),
            )
        tasks = []
        for task in roles.tasks:
            base, metric = metrics.get(task.column.at, (task.name, wanted))
            if metric == wanted:
                tasks.append(replace(task, name=base))
            else:
                roles.left_out.append((task.column, f"another metric than {wanted}"))
        kinds = [wanted]
    elif settings.metric:
        raise InputError(f"{columns.path}: no column names a metric, such as '{settings.metric}'.")
    lower = [kind for kind in kinds if kind in names.LOWER_METRICS]
    if lower and len(lower) < len(kinds):
        example = next(c for c in roles.tasks if metrics.get(c.column.at, ("", ""))[1] in lower)
        raise SettingError(
            f"{columns.path}: of {listed(kinds)} some are better when lower and some when higher; leave out "
            "the columns of one kind, such as {leave_out}, or change the sign of the losses.",
            leave_out=("leave_out", example.name),
        )
    if lower and len(metrics) == len(roles.tasks) and not settings.lower_is_better:
        settings = replace(settings, lower_is_better=True)
        columns.notes.append(f"lower is better, for the columns are called {listed(lower)}")
    return tasks, settings


def _speaks_of_losses(tasks: Sequence[str]) -> bool:
    return all(names.parted(task, names.LOWER_METRICS) for task in tasks)


def _runs(columns: Columns, roles: Roles, notes: list[str]) -> NDArray[np.intp]:
    """Return the rows that are runs: neither blank nor sums over the others."""
    scores = np.column_stack([task.column.numbers for task in roles.tasks])
    known = ~np.isnan(scores)
    rows = np.flatnonzero(known.any(1))
    if len(rows) < len(scores):
        notes.append(f"left out: {len(scores) - len(rows)} rows without a score")
    named = _summary_rows(columns, rows)
    unnamed = [rows[-1]] if len(rows) > 3 and known[rows[-1]].all() and not known[rows].all() else []
    for row in [*named, *(int(row) for row in unnamed if row not in named)]:
        others = np.array([r for r in rows if r != row and r not in named])
        if len(others) < 2:
            continue
        what = sums_up(scores[row], scores[others].T)
        if what:
            notes.append(f"left out: line {columns.sheet.lines[row]} (the {what} of the others)")
            rows = rows[rows != row]
    return rows


def _summary_rows(columns: Columns, rows: NDArray[np.intp]) -> list[int]:
    """Rows that a label calls a summary."""
    labels = [c for c in columns.columns if not c.numeric or np.isnan(c.numbers).any()]
    return [row for row in rows.tolist() if any(names.plain(c.cells[row]) in names.SUMMARY for c in labels)]


def _subset_column(
    columns: Columns, labels: list[Column], tasks: Sequence[str], scores: Array, settings: Settings
) -> tuple[str, NDArray[np.bool_]] | None:
    """Return the column that lists the tasks of every run, if there is one, with what it says."""
    if settings.subset_column is not None:
        (column, *_) = [c for c in labels if c.name == settings.subset_column] or columns.named(
            [settings.subset_column], "the tasks of a run"
        )
        said = read_subsets(column.cells, tasks) if len(column.cells) == len(scores) else None
        if said is None:
            raise InputError(
                f"{columns.path}: column '{column.name}' does not list tasks of the table in every run, "
                f"but {column.content}; tasks are {listed(tasks)}."
            )
        return column.name, said
    inside = ~np.isnan(scores)
    found = [(c, said) for c in labels if (said := read_subsets(c.cells, tasks)) is not None]
    if not found or any(np.array_equal(said, inside) for _, said in found):
        return None
    named = [(c, said) for c, said in found if c.plain in (names.SUBSET | names.TASK)]
    if not named and not inside.all():
        return None  # such as the best task of a run; the blanks say what was trained
    if len(named) != 1:
        raise SettingError(
            f"{columns.path}: {found[0][0].shown} lists tasks of the table; if they are those that a "
            "run trained, say {column}.",
            column=("subset_column", found[0][0].name),
        )
    return named[0][0].name, named[0][1]


def _inside(
    path: str, subset: tuple[str, NDArray[np.bool_]], tasks: Sequence[str], scores: Array, notes: list[str]
) -> Array:
    """Leave out scores of tasks that a run did not train."""
    name, said = subset
    outside = int((~np.isnan(scores) & ~said).sum())
    scores = np.where(said, scores, np.nan)
    notes[:] = [note for note in notes if not note.startswith(f"left out: column '{name}'")]
    notes.append(
        f"column '{name}' lists the tasks that each run trained"
        + (f"; {outside} scores of other tasks are left out" if outside else "")
    )
    if len({tuple(row) for row in said.tolist()}) < 2:
        raise InputError(f"{path}: by column '{name}' every run trained the same tasks.")
    return scores
