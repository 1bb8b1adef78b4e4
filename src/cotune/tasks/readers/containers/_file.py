"""The rows of a file, by its ending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cotune.exceptions import InputError
from cotune.tasks.readers.containers._csv import read_csv
from cotune.tasks.readers.containers._json import read_json
from cotune.tasks.readers.containers._parquet import read_parquet
from cotune.tasks.readers.containers._table import Tables, guarded, suffix_of

_READERS: dict[str, Callable[[Path, str], Tables]] = {
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".tab": read_csv,
    ".parquet": read_parquet,
}
"""What reads a file, by its ending."""


def is_table(path: Path) -> bool:
    """Return whether a file is one that rows are read from, by its ending."""
    return suffix_of(path) in _READERS


def read_table(path: Path, split: str = "train") -> Tables:
    """Return the rows of a file.

    Parameters
    ----------
    path : Path
        A file with one of the endings of :data:`TABLES`.
    split : str
        The split that its rows are of, unless it says itself.

    Raises
    ------
    InputError
        If the file cannot be read at all, or its ending is none of those.
    """
    if not is_table(path):
        raise InputError(
            f"The file '{path}' must end in one of {', '.join(_READERS)}, or its reader be named; "
            "of a spreadsheet save the sheet as CSV."
        )
    found = _READERS[suffix_of(path)](path, split)
    rows = {ours: guarded(str(path), of_split) for ours, of_split in found.splits.items()}
    return replace(found, splits=rows)
