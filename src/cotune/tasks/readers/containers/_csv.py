"""Rows of CSV and TSV: text as it was written, whatever parts the cells."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cotune.exceptions import InputError
from cotune.tasks.readers.containers._encoding import has_broken_bytes, open_text
from cotune.tasks.readers.containers._numbers import Cell, Row
from cotune.tasks.readers.containers._table import Tables, suffix_of

_DELIMITERS = ",\t;|"
_LARGEST = 2**31 - 1
_SAID = re.compile(r'"?sep=(.)"?')
"""The line by which spreadsheets are told what parts the cells."""


def read_csv(path: Path, split: str) -> Tables:
    """Return the rows of a file whose first line names the columns."""
    file, notes = open_text(path, newline="")
    return Tables({split: _csv_rows(path, file)}, str(path), list(notes))


def _csv_rows(path: Path, file: Any) -> Iterator[Row]:
    with file:
        delimiter, quoted, opening = _dialect(path, file)
        csv.field_size_limit(_LARGEST)
        reader = csv.reader(
            file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        )
        header: list[str] = []
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield f"{path}, line {line}", InputError(f"{path}, line {line} cannot be read: {error}.")
                continue
            if line <= opening or not any(cell.strip() for cell in cells):
                continue
            if header:
                yield f"{path}, line {line}", _csv_row(f"{path}, line {line}", header, cells)
            else:
                header = _names(cells)


def _dialect(path: Path, file: Any) -> tuple[str, bool, int]:
    """Return what parts the cells, whether they may be quoted, and how many lines stand before the header."""
    first = file.readline()
    said = _SAID.fullmatch(first.strip())
    header = file.readline() if said else first
    file.seek(0)
    delimiter = said[1] if said else _delimiter(header)
    if suffix_of(path) != ".csv" and "\t" in header:
        delimiter = "\t"
    # Most writers of tabs quote nothing, and a lone quotation mark would swallow the lines after it.
    quoted = delimiter != "\t" or _quotes_close(file)
    file.seek(0)
    return delimiter, quoted, int(said is not None)


def _names(cells: Sequence[str]) -> list[str]:
    """Return the columns' names, those that stand twice with a number."""
    names: list[str] = []
    for cell in map(str.strip, cells):
        number = sum(name == cell or name.startswith(f"{cell}_") for name in names)
        names.append(f"{cell}_{number + 1}" if cell and cell in names else cell)
    return names


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=lambda sign: len(next(csv.reader([header], delimiter=sign), [])))


def _quotes_close(lines: Iterable[str]) -> bool:
    cells = (cell for line in lines for cell in line.rstrip("\r\n").split("\t") if cell.startswith('"'))
    return all(len(cell) > 1 and cell.endswith('"') for cell in cells)


def _csv_row(where: str, header: list[str], cells: list[str]) -> dict[str, Any] | InputError:
    if any(cell.strip() for cell in cells[len(header) :]):
        return InputError(f"{where} has {len(cells)} cells, but the header names {len(header)}.")
    if any(map(has_broken_bytes, cells)):
        return InputError(f"{where} is not text in the encoding of the file.")
    # What has no name is the number of the row that pandas writes; cells left out at the end are empty.
    filled = itertools.zip_longest(header, cells[: len(header)], fillvalue="")
    return {name: Cell(cell) for name, cell in filled if name}
