"""What a shape is: by which fields rows are known, and what of a row is instruction, input and target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cotune.exceptions import InputError
from cotune.tasks.readers.containers import Row

_SAMPLE = 1000


class Fields:
    """The fields of a table's rows, whatever the case of their names.

    Parameters
    ----------
    rows : sequence of (str, mapping or InputError)
        Of which the first thousand are looked at.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = [row for _, row in rows[:_SAMPLE] if not isinstance(row, InputError)]
        counts = Counter(field for row in self._rows for field in row)
        self.names = tuple(counts)
        usual = [field for field, count in counts.items() if 2 * count >= len(self._rows)]
        self._usual = {field.strip().lower(): field for field in reversed(usual)}
        self._any = {field.strip().lower(): field for field in reversed(self.names)}

    def __bool__(self) -> bool:
        """Return whether there is any row."""
        return bool(self._rows)

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The rows that are looked at."""
        return self._rows

    def first_of(self, names: Sequence[str], *, rare: bool = False) -> str | None:
        """Return the first of the names that most rows have, or, of ``rare`` ones, any."""
        there = self._any if rare else self._usual
        return next((there[name] for name in names if name in there), None)

    def all_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the fields of all of the names, or none of them."""
        found = [self._usual[name] for name in names if name in self._usual]
        return tuple(found) if len(found) == len(names) else ()

    def values(self, field: str) -> list[Any]:
        """Return what stands under a field, without null."""
        return [row[field] for row in self._rows if row.get(field) is not None]


class Shape(ABC):
    """A way that rows of instruction data are laid out.

    Parameters
    ----------
    name : str
        What it is called, for notes.
    used : sequence of str
        The fields that are made use of.
    """

    def __init__(self, name: str, used: Sequence[str]) -> None:
        self.name = name
        self.used = tuple(used)

    @abstractmethod
    def unfold(self, where: str, row: Mapping[str, Any]) -> Iterator[Row]:
        """Yield what of a row can be examples: rows of ``instruction``, ``input`` and ``target``.

        Where several belong together, so that no split may part them, ``whole`` names what they belong to.

        Parameters
        ----------
        where : str
            Where the row stands.
        row : mapping
            The row as it was read.

        Raises
        ------
        InputError
            If it cannot be an example.
        """

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over in the rows unfolded so far."""
        return ()


def value_of(where: str, row: Mapping[str, Any], field: str) -> Any:
    """Return what a row has under a field.

    Raises
    ------
    InputError
        If it has no such field, or null.
    """
    if row.get(field) is None:
        kind = "has null for" if field in row else "has no field"
        raise InputError(f"{where} {kind} '{field}'; its fields are {', '.join(map(str, row)) or 'none'}.")
    return row[field]
