"""The columns of a table with their numbers, and how they are spoken of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cotune.affinity.tables._names import COUNTING, SUBSET, plain
from cotune.affinity.tables._numbers import (
    Decimal,
    decimal_of,
    is_missing,
    looks_numeric,
    read_number,
    tells_point,
)
from cotune.affinity.tables._sheet import Sheet
from cotune.exceptions import InputError

NAMED = 5
"""Most columns and values that are named in a line."""


@dataclass(eq=False)
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
    blank : ndarray of bool, shape (rows,)
        Where there is nothing.
    """

    at: int
    name: str
    cells: list[str]
    numeric: bool
    numbers: NDArray[np.float64]
    errors: NDArray[np.float64]
    blank: NDArray[np.bool_]

    @property
    def plain(self) -> str:
        """The name for comparison with known ones."""
        return plain(self.name)

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
    found = [_Cells.of(sheet.column(at)) for at in range(len(sheet.header))]
    if decimal is None:
        decimal = decimal_of(
            (
                (sheet.lines[row], cells.texts[row])
                for name, cells in zip(sheet.header, found, strict=True)
                if cells.numeric and plain(name) not in SUBSET
                for row in cells.telling
            ),
            sheet.path,
        )
    columns, percent = [], 0
    spelled: dict[str, int] = {}
    for at, (name, cells) in enumerate(zip(sheet.header, found, strict=True)):
        numbers, errors, signs = cells.read(decimal)
        if cells.numeric and len(set(signs.values())) > 1:
            _refuse_mixed_signs(sheet, name, cells.texts, signs)
        percent += any(signs.values())
        columns.append(Column(at, name, cells.texts, cells.numeric, numbers, errors, cells.blank))
        for row in np.flatnonzero(cells.blank).tolist() if cells.numeric else ():
            if cells.texts[row]:
                spelled[cells.texts[row]] = spelled.get(cells.texts[row], 0) + 1
    notes = list(sheet.notes)
    if spelled:
        shown = ", ".join(f"{cell} ({count} cells)" for cell, count in list(spelled.items())[:NAMED])
        notes.append(f"read as blank: {shown}")
    if percent:
        notes.append("percent signs read as hundredths")
    if decimal == "comma":
        notes.append("commas read as decimal signs")
    return Columns(sheet, columns, decimal, notes)


@dataclass
class _Cells:
    """The texts of a column, with its numbers where Python reads all of them at once."""

    texts: list[str]
    numeric: bool
    blank: NDArray[np.bool_]
    floats: NDArray[np.float64] | None

    @classmethod
    def of(cls, texts: list[str]) -> _Cells:
        """Look at a column; large matrices are plain numbers, which need not be looked at one by one."""
        try:
            floats = np.array([float(text) if text else math.nan for text in texts])
        except ValueError:
            floats = None
        blank = np.array([not text for text in texts])
        if floats is not None and np.isfinite(floats[~blank]).all() and not any("_" in t for t in texts):
            return cls(texts, not blank.all(), blank, floats)
        blank = np.array([is_missing(text) for text in texts])
        known = [looks_numeric(text) for text, none in zip(texts, blank.tolist(), strict=True) if not none]
        # Most are numbers: the others are mistakes, which are pointed out.
        return cls(texts, bool(known) and sum(known) > len(known) / 2, blank, None)

    @property
    def telling(self) -> list[int]:
        """Rows whose cells may tell the decimal sign: of plain numbers the first with a point that does."""
        if self.floats is None:
            return np.flatnonzero(~self.blank).tolist()
        return next(([row] for row, text in enumerate(self.texts) if tells_point(text)), [])

    def read(self, decimal: Decimal) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[int, bool]]:
        """Return numbers, their errors, and by row whether there was a percent sign."""
        errors = np.full(len(self.texts), math.nan)
        if self.floats is not None and decimal == "point":
            return self.floats, errors, {}
        numbers, signs = errors.copy(), {}
        for row in np.flatnonzero(~self.blank).tolist():
            number = read_number(self.texts[row], decimal)
            if number is not None:
                numbers[row], errors[row] = number.value, number.error
                signs[row] = number.percent
        return numbers, errors, signs


def _refuse_mixed_signs(sheet: Sheet, name: str, texts: list[str], signs: dict[int, bool]) -> None:
    row = next(row for row, percent in signs.items() if not percent)
    raise InputError(
        f"{sheet.path}, line {sheet.lines[row]}, '{name}': {texts[row]} has no percent sign, and "
        "others of the column have; write all alike."
    )


def check_numbers(sheet: Sheet, column: Column) -> None:
    """Check a column that is taken for numbers.

    Raises
    ------
    InputError
        If a cell is none, or an infinity.
    """
    if np.array_equal(np.isfinite(column.numbers), ~column.blank):
        return
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
