"""Affinities in a list: a row for every pair of tasks."""

from __future__ import annotations

import numpy as np

from cotune.affinity.tables import _names as names
from cotune.affinity.tables._columns import Column, Columns, check_numbers, listed
from cotune.affinity.tables._settings import Settings
from cotune.affinity.tables._table import Table, check_names, of_matrix
from cotune.exceptions import InputError

_FROM = names.SUBSET | frozenset(
    ["source", "from", "helper", "donor", "source_task", "train_task", "auxiliary"]
)
_TO = names.TASK | frozenset(["to", "helped", "recipient"])


def read_pairs(columns: Columns, settings: Settings) -> Table | None:
    """Read a list of pairs of tasks with a number each; None if the table is none.

    Raises
    ------
    InputError
        If a pair stands twice.
    """
    text = [c for c in columns.columns if not c.numeric and c.full]
    numeric = [c for c in columns.columns if c.numeric and not c.counts]
    sources = [c for c in text if c.plain in _FROM]
    targets = [c for c in text if c.plain in _TO]
    if len(sources) != 1 or len(targets) != 1 or len(text) != 2 or len(numeric) != 1:
        return None
    (source,), (target,), (value,) = sources, targets, numeric
    # Subsets of several tasks are no helpers: then it is a table of runs.
    if not set(source.cells) <= set(target.cells) or len(set(source.cells)) < 2:
        return None
    return _matrix(columns, settings, source, target, value)


def _matrix(columns: Columns, settings: Settings, source: Column, target: Column, value: Column) -> Table:
    check_numbers(columns.sheet, value)
    tasks = check_names(columns.path, list(dict.fromkeys(target.cells)))
    place = {task: at for at, task in enumerate(tasks)}
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    for row, number in enumerate(value.numbers.tolist()):
        at = place[target.cells[row]], place[source.cells[row]]
        if not np.isnan(matrix[at]):
            raise InputError(
                f"{columns.path}, line {columns.sheet.lines[row]}: a second number for '{source.cells[row]}' "
                f"and '{target.cells[row]}'."
            )
        matrix[at] = number
    note = (
        f"a row a pair: '{value.name}' is what training on '{source.name}' does to '{target.name}', "
        f"{len(tasks)} tasks ({listed(tasks)})"
    )
    return of_matrix(tasks, matrix, settings.lower_is_better, notes=(*columns.notes, note))
