"""What tasks are worth, as options say it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from cotune._neutral import read_cell
from cotune.exceptions import InputError


def read_weights(given: Sequence[str]) -> dict[str, float]:
    """Read weights of tasks, each option ``TASK=NUMBER`` or a CSV file of a task and a number a line.

    The first line of a file may name its columns. Of a task that is given twice the last weight counts, so
    that an option after a file changes one of its tasks.

    Raises
    ------
    InputError
        If an option is neither, or a weight is not a number of at least 0.
    """
    weights: dict[str, float] = {}
    for option in given:
        task, sign, text = option.rpartition("=")
        if sign and not Path(option).is_file():
            weights[task.strip()] = _weight(text, f"--weights {option}")
        else:
            weights |= _of_file(Path(option))
    return weights


def _of_file(path: Path) -> dict[str, float]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"--weights {path}: the file cannot be read ({why}); give TASK=NUMBER, or a CSV file with a task "
            "and a number on each line."
        ) from None
    weights = {}
    for at, row in enumerate(_rows(lines, path), 1):
        if not any(cell.strip() for cell in row):
            continue
        where = f"{path}, line {at}"
        if len(row) != 2:
            raise InputError(f"{where}: expected a task and a number, got {len(row)} cells.")
        if at == 1 and not _is_number(row[1]):
            continue  # names of the columns
        weights[read_cell(row[0].strip())] = _weight(row[1], where)
    return weights


def _rows(lines: list[str], path: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(lines)
    except csv.Error as error:
        raise InputError(f"--weights {path}: the file cannot be read as CSV ({error}).") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _weight(text: str, where: str) -> float:
    number = float(text) if _is_number(text) else math.nan
    if not 0 <= number < math.inf:
        raise InputError(f"{where}: a weight must be a number of at least 0, got {text.strip()!r}.")
    return number
