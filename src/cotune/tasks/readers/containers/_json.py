"""Rows of JSON: lines of objects, a list, an object of columns, or lists of rows under names."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cotune._json import parse_json
from cotune.exceptions import InputError
from cotune.tasks.readers.containers._encoding import has_broken_bytes, open_text
from cotune.tasks.readers.containers._numbers import Row
from cotune.tasks.readers.containers._split_names import by_split
from cotune.tasks.readers.containers._table import NoRowsError, Tables, as_object, numbered, suffix_of


def read_json(path: Path, split: str) -> Tables:
    """Return the rows of a file; which of the forms it has is told from its content."""
    file, notes = open_text(path)
    lines = list(itertools.islice((line for line in file if line.strip()), 2))
    file.seek(0)
    if not lines or _are_lines(lines, path):
        return Tables({split: _rows(path, file)}, str(path), list(notes))
    with file:
        text = file.read()
    try:
        content = parse_json(text)
    except ValueError as error:
        if suffix_of(path) == ".json" and lines[0].lstrip().startswith("["):
            raise InputError(f"{path} cannot be read as JSON: {error}.") from None
        return Tables({split: _rows(path, text.splitlines())}, str(path), list(notes))
    tables = _content(path, content, split)
    return Tables(tables.splits, str(path), [*notes, *tables.notes])


def _are_lines(lines: list[str], path: Path) -> bool:
    """Return whether the first lines are objects, and not one object that is the whole of the file."""
    if len(lines) == 1 and suffix_of(path) == ".json":
        return False
    return any(isinstance(_row("", line), dict) for line in lines)


def _holds_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _rows(path: Path, lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _row(where, line)


def _row(where: str, line: str) -> dict[str, Any] | InputError:
    if has_broken_bytes(line):
        return InputError(f"{where} is not text in the encoding of the file.")
    try:
        row = parse_json(line)
    except json.JSONDecodeError as error:
        return InputError(f"{where} is not JSON: {error.msg} at column {error.colno}.")
    except ValueError as error:
        return InputError(f"{where} cannot be read as JSON: {error}.")
    return as_object(where, row)


def _content(path: Path, content: Any, split: str) -> Tables:
    """Return the rows of a JSON file that is a list, an object of columns, or holds lists of rows."""
    if isinstance(content, list):
        return Tables({split: numbered(f"{path}, row", content)}, str(path))
    if isinstance(content, dict):
        lists = {name: value for name, value in content.items() if _holds_rows(value)}
        named, rest = by_split(lists)
        if named:
            splits = {ours: numbered(f"{path}, {name}, row", lists[name]) for ours, name in named.items()}
            notes = [f"not read of {path.name}: {', '.join(rest)}"] if rest else []
            return Tables(splits, str(path), notes)
        if len(lists) == 1:
            return Tables({split: numbered(f"{path}, row", *lists.values())}, str(path))
        rows = _columns(content)
        if rows:
            return Tables({split: numbered(f"{path}, row", rows)}, str(path))
        if content and not lists and all(isinstance(value, dict) for value in content.values()):
            return Tables({split: numbered(f"{path}, row", list(content.values()))}, str(path))
    raise NoRowsError(
        f'{path} holds no rows: give lines of objects, a list of them, {{"data": [...]}}, or a list by split.'
    )


def _columns(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an object of columns: equally long lists, or objects by the rows' numbers."""
    columns = [list(value.values()) if isinstance(value, dict) else value for value in content.values()]
    if len(columns) < 2 or not all(isinstance(column, list) for column in columns):
        return []
    if len({len(column) for column in columns}) != 1 or any(map(_of_strings, content.values())):
        return []
    return [dict(zip(content, values, strict=True)) for values in zip(*columns, strict=True)]


def _of_strings(value: Any) -> bool:
    """Return whether a value is an object by names, which is a row; columns are by numbers."""
    return isinstance(value, dict) and not all(str(key).isdigit() for key in value)
