"""Tables of several tasks: a column says which each row is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cotune.exceptions import InputError
from cotune.tasks.readers.containers._layout import Loaders
from cotune.tasks.readers.containers._numbers import Row
from cotune.tasks.readers.containers._table import Tables, rows_of

AUTO = "auto"
"""In place of a column's name: one that is named after tasks, if it has several values, each repeated."""

_NAMES = ("task", "task_name")
_ROWS_A_TASK = 3


def parted(name: str, load: Callable[[], Tables], column: str, most: int | None) -> Loaders:
    """Return the tasks of a table whose rows say which they are of; else the table itself.

    Parameters
    ----------
    name : str
        The table's name.
    load : callable
        Gives its rows.
    column : str
        The column's name, or :data:`AUTO`.
    most : int or None
        The most rows that are read of a split.

    Raises
    ------
    InputError
        If there is no column of the name.
    """
    try:
        tables = load()
        rows = (row for of_split in tables.splits.values() for _, row in of_split)
        first: Mapping[str, Any] = next((row for row in rows if isinstance(row, Mapping)), {})
    except InputError:  # told when the task is read, if it is
        return {name: load}
    found = next((each for each in (_NAMES if column == AUTO else (column,)) if each in first), None)
    if found is None:
        if column == AUTO or not first:
            return {name: load}
        raise InputError(f"{tables.where} has no column '{column}'; its columns are {', '.join(first)}.")
    whole = load()
    splits = {split: rows_of(rows, most) for split, rows in whole.splits.items()}
    by_task: dict[str | None, dict[str, list[Row]]] = {}
    for split, (of_split, _) in splits.items():
        for where, row in of_split:
            by_task.setdefault(_task_of(row, found), {}).setdefault(split, []).append((where, row))
    nameless = sum(map(len, by_task.pop(None, {}).values()))
    sizes = [sum(map(len, of_task.values())) for of_task in by_task.values()]
    if column == AUTO and (len(sizes) < 2 or sum(sizes) < _ROWS_A_TASK * len(sizes)):
        return {name: load}
    notes = [*whole.notes, f"one of {len(sizes)} tasks by the column '{found}'"]
    notes += [f"{nameless} rows left out that name no task"] if nameless else []
    cut = tuple(split for split, (_, more) in splits.items() if more)
    return {
        str(one): partial(Tables, of_task, f"{whole.where}, {one}", notes, found, cut)
        for one, of_task in by_task.items()
    }


def _task_of(row: Any, column: str) -> str | None:
    """Return the name of the task that a row is of, if it says any."""
    value = row.get(column) if isinstance(row, Mapping) else None
    return str(value) if isinstance(value, str | int) and value != "" else None
