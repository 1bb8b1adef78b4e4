"""Whole numbers that a table's writer turned into decimals for want of a value: 6 became 6.0."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cotune.exceptions import InputError

Row = tuple[str, "Mapping[str, Any] | InputError"]
"""A row with where it stands, or the error in place of one that cannot be read."""


class Cell(str):
    """What stands in a table of text, where a number is text as well."""

    __slots__ = ()


_WHOLE = re.compile(r"-?\d+(\.0+)?")
_GAPS = ("", "nan", "#n/a", "<na>")


def whole_numbers(rows: Iterable[Row]) -> list[Row]:
    """Return rows with integers in the columns of whole numbers that have gaps or integers beside.

    A column of integers with a gap becomes one of floats in pandas and in many a spreadsheet, and the label
    "6" would be trained as "6.0". A column of decimals without gaps stays as it was written.

    Parameters
    ----------
    rows : iterable of (str, mapping or InputError)
        All rows of a table.
    """
    rows = list(rows)
    tables = [row for _, row in rows if not isinstance(row, InputError)]
    decimal = {field for row in tables for field, value in row.items() if _is_decimal(value)}
    whole = {field for field in decimal if _is_whole([row.get(field) for row in tables])}
    if not whole:
        return rows
    return [(where, row if isinstance(row, InputError) else _mended(row, whole)) for where, row in rows]


def numbered_rows(where: str, rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the rows of a table by number, from 1, with :func:`whole_numbers`."""
    return whole_numbers((f"{where}, row {number}", row) for number, row in enumerate(rows, start=1))


def _is_decimal(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, Cell) and value.endswith(".0"))


def _is_whole(values: list[Any]) -> bool:
    """Return whether all values are whole numbers or gaps, and some are gaps or written as integers."""
    if not all(_is_gap(value) or _is_number(value) for value in values):
        return False
    return any(_is_gap(value) or not _is_decimal(value) for value in values)


def _is_gap(value: Any) -> bool:
    if isinstance(value, Cell):
        return value.strip().lower() in _GAPS
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_number(value: Any) -> bool:
    if isinstance(value, Cell):
        return _WHOLE.fullmatch(value.strip()) is not None
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _mended(row: Mapping[str, Any], whole: set[str]) -> dict[str, Any]:
    return {field: _integer(value) if field in whole else value for field, value in row.items()}


def _integer(value: Any) -> Any:
    if _is_gap(value):
        return None
    return value.strip().partition(".")[0] if isinstance(value, Cell) else int(value)
