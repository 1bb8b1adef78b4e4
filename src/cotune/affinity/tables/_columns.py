"""The columns of a table with their numbers, and how they are spoken of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cotune.affinity.tables._names import COUNTING, SUBSET, plain
from cotune.affinity.tables._numbers import Decimal, decimal_of, is_missing, looks_numeric, read_number
from cotune.affinity.tables._sheet import Sheet
from cotune.exceptions import InputError

NAMED = 5
"""Most columns and values that are named in a line."""


@dataclass
class Column:
    """A column.

    Parameters
    ----------
    at : int
        Its place.
    name : str
        As in the header, possibly empty.
    cells : list of str
        As in the file.
    numeric : bool
        Whether all cells that are not blank are numbers.
    numbers : ndarray of shape (rows,)
        NaN where blank, or no number.
    errors : ndarray of shape (rows,)
        What stood behind plus-minus signs.
    """

    at: int
    name: str
    cells: list[str]
    numeric: bool
    numbers: NDArray[np.float64]
    errors: NDArray[np.float64]

    @property
    def plain(self) -> str:
        """The name for comparison with known ones."""
        return plain(self.name)

    @property
    def blank(self) -> NDArray[np.bool_]:
        """Where there is nothing."""
        return np.array([is_missing(cell) for cell in self.cells])

    @property
    def full(self) -> bool:
        """Whether no cell is blank."""
        return not self.blank.any()

    @property
    def empty(self) -> bool:
        """Whether every cell is blank."""
        return bool(self.blank.all())

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers alone, written as such."""
        known = self.numbers[~np.isnan(self.numbers)]
        return self.numeric and bool((known == np.round(known)).all())

    @property
    def counts(self) -> bool:
        """Whether it counts its rows by ones: four or more from 0 or 1, or from anywhere if called so."""
        known = self.numbers[~np.isnan(self.numbers)]
        if not (self.whole and self.full and len(known) > 2 and bool((np.diff(known) == 1).all())):
            return False
        return self.plain in COUNTING or (len(known) > 3 and known[0] in (0, 1))

    @property
    def shown(self) -> str:
        """The name as it is spoken of."""
        return f"column '{self.name}'" if self.name else "a column without a name"

    @property
    def content(self) -> str:
        """A few of the values."""
        cells = list(dict.fromkeys(cell for cell in self.cells if not is_missing(cell)))
        return ", ".join(cells[:3]) + (", ..." if len(cells) > 3 else "")


@dataclass
class Columns:
    """All columns of a sheet, and the settings with which it is read."""

    sheet: Sheet
    columns: list[Column]
    decimal: Decimal
    notes: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The file."""
        return self.sheet.path

    def named(self, names: Sequence[str], what: str) -> list[Column]:
        """Find columns by their names.

        Raises
        ------
        InputError
            If there is none of a name.
        """
        found = []
        for name in names:
            matching = [column for column in self.columns if column.name == name.strip()]
            if not matching:
                raise InputError(
                    f"{self.path} has no column '{name}' for {what}; it has "
                    f"{listed([c.name for c in self.columns if c.name], 12)}."
                )
            found += matching
        return found


def read_columns(sheet: Sheet, decimal: Decimal | None) -> Columns:
    """Read the numbers of a sheet.

    Raises
    ------
    InputError
        If the decimal sign cannot be told, or a column mixes numbers with percent signs and without.
    """
    numeric = [_is_numeric(sheet.column(at)) for at in range(len(sheet.header))]
    if decimal is None:
        decimal = decimal_of(
            (
                (line, row[at])
                for at in range(len(sheet.header))
                if numeric[at] and plain(sheet.header[at]) not in SUBSET
                for line, row in zip(sheet.lines, sheet.rows, strict=True)
            ),
            sheet.path,
        )
    columns, percent = [], 0
    spelled: dict[str, int] = {}
    for at, name in enumerate(sheet.header):
        cells = sheet.column(at)
        numbers, errors = np.full(len(cells), math.nan), np.full(len(cells), math.nan)
        signs = []
        for row, cell in enumerate(cells):
            if is_missing(cell):
                if cell and numeric[at]:
                    spelled[cell] = spelled.get(cell, 0) + 1
                continue
            number = read_number(cell, decimal)
            if number is not None:
                numbers[row], errors[row] = number.value, number.error
                signs.append(number.percent)
        if numeric[at] and len(set(signs)) > 1 and any(numbers[~np.isnan(numbers)] != 0):
            row = next(r for r, cell in enumerate(cells) if not is_missing(cell) and "%" not in cell)
            raise InputError(
                f"{sheet.path}, line {sheet.lines[row]}, '{name}': {cells[row]} has no percent sign, and "
                "others of the column have; write all alike."
            )
        percent += any(signs)
        columns.append(Column(at, name, cells, numeric[at], numbers, errors))
    notes = list(sheet.notes)
    if spelled:
        shown = ", ".join(f"{cell} ({count} cells)" for cell, count in list(spelled.items())[:NAMED])
        notes.append(f"read as blank: {shown}")
    if percent:
        notes.append("percent signs read as hundredths")
    if decimal == "comma":
        notes.append("commas read as decimal signs")
    return Columns(sheet, columns, decimal, notes)


def _is_numeric(cells: list[str]) -> bool:
    """Whether most of what is there are numbers; the others are then mistakes, which are pointed out."""
    known = [looks_numeric(cell) for cell in cells if not is_missing(cell)]
    return bool(known) and sum(known) > len(known) / 2


def check_numbers(sheet: Sheet, column: Column) -> None:
    """Check a column that is taken for numbers.

    Raises
    ------
    InputError
        If a cell is none, or an infinity.
    """
    for line, cell, number in zip(sheet.lines, column.cells, column.numbers.tolist(), strict=True):
        if is_missing(cell):
            continue
        if math.isnan(number):
            raise InputError(f"{sheet.path}, line {line}, '{column.name}': {cell!r} is not a number.")
        if math.isinf(number):
            raise InputError(
                f"{sheet.path}, line {line}, '{column.name}': {cell} is not a score; leave the cell blank "
                "where the task was not in the run."
            )


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """Name some, and count the others; in quotation marks if a name has a comma."""
    quoted = any("," in name for name in names)
    shown = ", ".join(f"'{name}'" if quoted else name for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
