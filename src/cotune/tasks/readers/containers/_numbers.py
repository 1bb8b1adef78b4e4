"""Whole numbers that a table's writer turned into decimals for want of a value: 6 became 6.0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from cotune.exceptions import InputError

Row = tuple[str, "Mapping[str, Any] | InputError"]
"""A row with where it stands, or the error in place of one that cannot be read."""


def whole_numbers(rows: Iterable[Row]) -> list[Row]:
    """Return rows with integers in the columns of whole numbers that have gaps or integers beside.

    A column of integers with a gap becomes one of floats in pandas and in many a spreadsheet, and the label
    "6" would be trained as "6.0". A column of floats without gaps stays as it was written.

    Parameters
    ----------
    rows : iterable of (str, mapping or InputError)
        All rows of a table.
    """
    rows = list(rows)
    tables = [row for _, row in rows if not isinstance(row, InputError)]
    fields = {field for row in tables for field, value in row.items() if isinstance(value, float)}
    whole = {field for field in fields if _is_whole([row.get(field) for row in tables])}
    if not whole:
        return rows
    return [(where, row if isinstance(row, InputError) else _mended(row, whole)) for where, row in rows]


def numbered_rows(where: str, rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the rows of a table by number, from 1, with :func:`whole_numbers`."""
    return whole_numbers((f"{where}, row {number}", row) for number, row in enumerate(rows, start=1))


def _is_whole(values: list[Any]) -> bool:
    numbers = [value for value in values if _is_number(value)]
    gaps = len(numbers) < len(values) or any(isinstance(number, int) for number in numbers)
    return (
        gaps and bool(numbers) and all(isinstance(number, int) or number.is_integer() for number in numbers)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _mended(row: Mapping[str, Any], whole: set[str]) -> dict[str, Any]:
    return {
        field: int(value) if field in whole and isinstance(value, float) and math.isfinite(value) else value
        for field, value in row.items()
    }
