"""Numbers as they come in memory: masked arrays and data frames, with what their masks and labels say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.exceptions import InputError


def numbers_of(values: ArrayLike) -> NDArray[np.float64]:
    """Return numbers as an array of their own, NaN where they are masked or missing.

    Raises
    ------
    TypeError or ValueError
        If they are no numbers, or rows differ in length.
    """
    if isinstance(values, np.ma.MaskedArray):
        return np.array(np.ma.filled(values.astype(np.float64), np.nan))
    to_numpy = getattr(values, "to_numpy", None)
    if to_numpy is not None and hasattr(values, "iloc"):  # pandas has a missing number that is no NaN
        return np.array(to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
    return np.array(values, dtype=np.float64)


def column_names(values: Any) -> tuple[str, ...] | None:
    """Return the names of a data frame's columns; None of what has none."""
    columns = getattr(values, "columns", None)
    return None if columns is None else tuple(str(column) for column in columns)


def aligned(values: Any, name: str, otherwise: str = "") -> tuple[Any, str]:
    """Return a square data frame with its rows in the order of its columns, and a note where they were not.

    Parameters
    ----------
    values : array-like
        What is no data frame, or has rows that are only numbered, is returned as it is.
    name : str
        What to call it in an error.
    otherwise : str
        What else could be done, as the end of the sentence.

    Raises
    ------
    InputError
        If rows and columns are called differently.
    """
    columns, index = getattr(values, "columns", None), getattr(values, "index", None)
    if columns is None or index is None or callable(index) or len(index) != len(columns):
        return values, ""
    rows, names = list(index), list(columns)
    if rows == names or rows == list(range(len(rows))):
        return values, ""
    if len(set(rows)) == len(rows) and set(rows) == set(names):
        return values.loc[names], "rows put in the order of the columns, by their names"
    raise InputError(
        f"{name} has rows called {_few(rows, names)} and columns called {_few(names, rows)}: both must name "
        f"the same tasks, each once{otherwise}."
    )


def _few(names: Sequence[Any], others: Sequence[Any]) -> str:
    """Return the first names that are not among others, or else the first."""
    shown = [name for name in names if name not in others] or names
    return ", ".join(map(repr, shown[:3])) + (" ..." if len(shown) > 3 else "")
