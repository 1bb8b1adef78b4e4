"""Affinity matrices, with names on their rows and without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotune.affinity.tables import _names as names
from cotune.affinity.tables._columns import Column, Columns, check_numbers, listed
from cotune.affinity.tables._settings import Settings
from cotune.affinity.tables._table import Table, check_names, of_matrix
from cotune.exceptions import InputError, SettingError

_ALIKE = 0.5
"""Correlation of a square table with its transpose from which it is one of affinities and not of runs."""

_BESIDE = names.SUMMARY | names.COUNTER | names.RUN | names.SETTING | names.SEED
"""What may stand beside a matrix without being of it."""

Array = NDArray[np.float64]


def read_matrix(columns: Columns, settings: Settings) -> Table | None:
    """Read a matrix whose rows are named like its columns; None if it is none.

    Raises
    ------
    InputError
        If the names are nearly, but not quite, the same.
    """
    for label in columns.columns[:3]:
        rows = {cell: row for row, cell in enumerate(label.cells)}
        others = [c for c in columns.columns if c is not label and c.name not in settings.leave_out]
        shared = [c for c in others if c.name in rows]
        # Twice as many rows as names are runs with a label, such as the best task of each.
        meant = 2 * len(shared) >= len(rows) and len(label.cells) <= 1.5 * len(others)
        if "" in rows or not shared or not meant or (label.counts and not others[0].name.isdigit()):
            continue
        wanted = [c for c in others if c.numeric and c.plain not in _BESIDE and not (c.counts and not c.name)]
        asked = {cell for cell in rows if cell not in settings.leave_out}
        if len(rows) < len(label.cells) or asked != {
            c.name for c in {c.at: c for c in [*wanted, *shared]}.values()
        }:
            _refuse_names(columns, label, asked, wanted)
        return _named(columns, settings, label, shared, rows)
    return None


def _refuse_names(columns: Columns, label: Column, rows: set[str], others: Sequence[Column]) -> None:
    lonely = sorted(set(rows) ^ {c.name for c in others})
    raise InputError(
        f"{columns.path}: the rows and columns of an affinity matrix must name the same tasks once each, got "
        f"{len(label.cells)} rows and {len(others)} columns"
        + (f"; '{lonely[0]}' is only on one side." if lonely else ".")
    )


def _named(
    columns: Columns, settings: Settings, label: Column, shared: Sequence[Column], rows: dict[str, int]
) -> Table:
    kept = [c for c in shared if c.name not in settings.leave_out]
    tasks = check_names(columns.path, [c.name for c in kept])
    for column in kept:
        check_numbers(columns.sheet, column)
    place = [rows[task] for task in tasks]
    matrix = np.column_stack([c.numbers[place] for c in kept])
    notes = [*columns.notes, f"rows and columns are named alike: {len(tasks)} tasks ({listed(tasks)})"]
    notes += [
        f"left out: {c.shown} ({'as told' if c.name in settings.leave_out else 'no row of its name'})"
        for c in columns.columns
        if c is not label and c not in kept
    ]
    if label.plain in names.SUBSET:
        matrix = matrix.T
        notes.append(
            f"rows are what was trained on ('{label.name}'): turned, so that they are what is helped"
        )
    else:
        notes.append("rows are the tasks that are helped")
    return _finished(tasks, matrix, settings, notes)


def read_unnamed(
    path: str, tasks: tuple[str, ...], values: Array, settings: Settings, notes: list[str]
) -> Table | None:
    """Read a square table without names on its rows as a matrix; None if it holds runs.

    Raises
    ------
    SettingError
        If it may be either.
    """
    n = len(tasks)
    if values.shape != (n, n) or settings.kind == "score table":
        return None
    known = ~np.isnan(values)
    off = ~np.eye(n, dtype=bool)
    triangle = _is_triangle(values)
    if settings.kind is None and not triangle:
        if not known[off].all() or n < 3:
            return None
        signs = bool((values[off] < 0).any() and (values[off] > 0).any())
        if not signs and not _correlation(values, off) >= _ALIKE:
            raise SettingError(
                f"{path}: as many rows as columns and no names on the rows: say {{matrix}} if row i "
                "holds what the tasks do to the i-th, or {scores} if rows are runs.",
                matrix=("kind", "affinity matrix"),
                scores=("kind", "score table"),
            )
    notes.append(
        "an affinity matrix, as many rows as columns: row i the i-th task of the header, that is helped"
    )
    return _finished(tasks, values, settings, notes)


def _correlation(values: Array, off: NDArray[np.bool_]) -> float:
    a, b = values[off], values.T[off]
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 else 1.0


def _is_triangle(values: Array) -> bool:
    """Whether one side of the diagonal is given, and nothing of the other."""
    given = ~np.isnan(values)
    upper, lower = given[np.triu_indices(len(values), 1)], given[np.tril_indices(len(values), -1)]
    return bool((upper.all() and not lower.any()) or (lower.all() and not upper.any())) and len(values) > 1


def _finished(tasks: tuple[str, ...], matrix: Array, settings: Settings, notes: list[str]) -> Table:
    if _is_triangle(matrix):
        matrix = np.where(np.isnan(matrix), matrix.T, matrix)
        notes.append("one triangle: each number taken for both directions")
    return of_matrix(tasks, matrix, settings.lower_is_better, notes=tuple(notes))
