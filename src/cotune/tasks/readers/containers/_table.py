"""What a container holds: the rows of a task by split."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cotune.exceptions import InputError
from cotune.tasks.readers.containers._encoding import BROKEN, PACKED
from cotune.tasks.readers.containers._numbers import Row, whole_numbers


class NoRowsError(InputError):
    """A file of an ending that may hold rows, which holds none."""


@dataclass
class Tables:
    """What was found of one task, or of several in one table: its rows by split.

    Parameters
    ----------
    splits : mapping of str to iterable of (str, row or InputError)
        The rows of each split, each with where it stands, once.
    where : str
        What was read, for errors.
    notes : list of str
        One sentence for everything taken for granted or not read.
    column : str, optional
        The column that the task was told from.
    cut : sequence of str
        The splits that hold more rows than were read.
    """

    splits: Mapping[str, Iterable[Row]]
    where: str
    notes: list[str] = field(default_factory=list)
    column: str | None = None
    cut: Sequence[str] = ()


def suffix_of(path: Path) -> str:
    """Return a file's ending, without that of its packing."""
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix.lower()


def stem_of(path: Path) -> str:
    """Return a file's name without its endings."""
    return (path.with_suffix("") if path.suffix in PACKED else path).stem


def numbered(where: str, rows: Iterable[Any]) -> Iterator[Row]:
    """Yield rows by number, from 1, and an error in place of what is no object."""
    for number, row in enumerate(rows, start=1):
        yield f"{where} {number}", as_object(f"{where} {number}", row)


def as_object(where: str, row: Any) -> dict[str, Any] | InputError:
    """Return a row, or the error that says why it is none."""
    if isinstance(row, dict):
        return row
    return InputError(f'{where} must be a JSON object such as {{"text": ...}}, got {str(row)[:40]!r}.')


def guarded(where: str, rows: Iterable[Row], errors: tuple[type[Exception], ...] = ()) -> Iterator[Row]:
    """Yield rows; an error in one sentence where they cannot be read to their end."""
    broken: tuple[type[Exception], ...] = (*BROKEN, *errors)
    try:
        yield from rows
    except broken as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(".")
        raise InputError(f"{where} cannot be read to its end: {reason}.") from error


def rows_of(rows: Iterable[Row], most: int | None) -> tuple[list[Row], bool]:
    """Return the first rows of a split, numbers as they were meant, and whether there are more."""
    found = list(itertools.islice(rows, None if most is None else most + 1))
    return whole_numbers(found[:most]), most is not None and len(found) > most
