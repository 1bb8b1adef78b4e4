from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cotune._json import parse_json
from cotune._places import expanded
from cotune.exceptions import InputError


def existing(base: Path, path: Path) -> Path:
    """Return a path of a study file, relative ones taken from ``base``; it has to exist."""
    resolved = base / expanded(path)
    if not resolved.exists():
        raise InputError(
            f"The path '{resolved}' does not exist; give that of a file or folder to read tasks from."
        )
    return resolved


def visible(folder: Path, pattern: str) -> list[Path]:
    """Return what matches a pattern in a folder, sorted by name, without hidden files."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    NaN and Infinity, which JSON has not and many writers write, are numbers that no text is made of.
    """
    data = path.read_bytes()
    try:
        return parse_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line} is not UTF-8 text, which a JSON file has to be.") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno} is not JSON: {error.msg} at column {error.colno}."
        ) from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.") from None


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any] | InputError]]:
    """Yield the objects of a file of JSON lines, each with where it stands; empty lines are skipped.

    In place of a line that is no object stands the error that says so.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(b" \t\r\n\xef\xbb\xbf" if number == 1 else None):
                where = f"{path}, line {number}"
                yield where, _object(where, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)


def _object(where: str, line: bytes) -> dict[str, Any] | InputError:
    try:
        text = line.decode().strip()
        row = parse_json(text)
    except UnicodeDecodeError:
        return InputError(f"{where} is not UTF-8 text, which JSON lines have to be.")
    except json.JSONDecodeError as error:
        return InputError(f"{where} is not JSON: {error.msg} at column {error.colno}.")
    except ValueError as error:
        return InputError(f"{where} cannot be read as JSON: {error}.")
    if not isinstance(row, dict):
        return InputError(f'{where} must be a JSON object such as {{"text": ...}}, got {text[:40]!r}.')
    return row
