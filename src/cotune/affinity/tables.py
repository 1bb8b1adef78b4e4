"""Score tables and affinity matrices in CSV files, from any source."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune._repr import Brief
from cotune.affinity._affinity import Affinity
from cotune.affinity.higher_order import higher_order
from cotune.exceptions import InputError

KINDS = ("affinity matrix", "score table")
_LONG = ("run", "task", "score")
_RUN_LABELS = ("run", "subset", "seed")


@dataclass(frozen=True)
class Table(Brief):
    """What a CSV file holds.

    Parameters
    ----------
    tasks : tuple of str
        Names, in the order of the matrix.
    affinity : Affinity
        The matrix as given, or Eq. (6) of the scores.
    kind : {"affinity matrix", "score table"}
        Which it was.
    n_runs : int
        Runs of a score table, 0 for a matrix.
    scores : ndarray of shape (n_runs, n) or None
        The table, higher is better, NaN where a task was not in the run; None for a matrix.
    """

    tasks: tuple[str, ...]
    affinity: Affinity
    kind: Literal["affinity matrix", "score table"]
    n_runs: int
    scores: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class _Lines:
    """The cells of a file with their line numbers."""

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def number(self, line: int, column: str, cell: str) -> float:
        try:
            value = float(cell)
        except ValueError:
            raise InputError(f"{self.path}, line {line}, '{column}': {cell!r} is not a number.") from None
        if not math.isfinite(value):
            raise InputError(
                f"{self.path}, line {line}, '{column}': {cell} is not a score; leave the cell blank where "
                "the task was not in the run."
            )
        return value


def read_table(path: str | Path, *, lower_is_better: bool = False) -> Table:
    """Read a score table or an affinity matrix with task names.

    Three layouts are told apart by their header:

    - an affinity matrix: task names in the header and, in the same order or another, in the first column;
    - a wide score table: task names in the header, a row for every run, blank where a task was not in the
      run's subset; a first column named run, subset or seed is passed over;
    - a long score table: the columns run, task and score, a row for every score.

    Parameters
    ----------
    path : str or Path
        A file separated by commas, semicolons or tabs.
    lower_is_better : bool
        Whether scores are losses; they are negated.

    Raises
    ------
    InputError
        Names the line, and what is valid.
    """
    lines = _read(Path(path))
    header = [cell.strip() for cell in lines.header]
    if sorted(cell.lower() for cell in header) == sorted(_LONG):
        return _long(lines, [cell.lower() for cell in header], lower_is_better)
    names = [row[0].strip() for _, row in lines.rows]
    if len(header) > 1 and sorted(names) == sorted(header[1:]):
        return _matrix(lines, header[1:], names, lower_is_better)
    if set(names) & set(header[1:]):  # meant as a matrix: scores are not called like tasks
        lonely = sorted(set(names) ^ set(header[1:]))
        raise InputError(
            f"{path}: the rows and columns of an affinity matrix must name the same tasks once each, got "
            f"{len(names)} rows and {len(header) - 1} columns"
            + (f"; '{lonely[0]}' is only on one side." if lonely else ".")
        )
    return _wide(lines, header, lower_is_better)


def table_of(
    values: ArrayLike,
    *,
    tasks: Sequence[str] | None = None,
    kind: Literal["affinity matrix", "score table"] | None = None,
    lower_is_better: bool = False,
) -> Table:
    """Make a table of numbers in memory.

    Parameters
    ----------
    values : array-like of shape (n, n) or (n_runs, n)
        An affinity matrix, row i the task that is helped; or the scores of runs, NaN where a task was not in
        the run.
    tasks : sequence of str, optional
        Names of the n tasks, by default those of a data frame's columns, or else task-0 and so on.
    kind : {"affinity matrix", "score table"}, optional
        Which of the two it is; by default a matrix where it is square.
    lower_is_better : bool
        Whether the numbers are losses; they are negated.

    Raises
    ------
    InputError
        If the values are not such a table, or the names do not fit it.
    """
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("The table must hold numbers alone, in rows of one length.") from None
    if numbers.ndim != 2 or not numbers.size:
        raise InputError(f"The table must be of two dimensions, runs or tasks by tasks, got {numbers.shape}.")
    if np.isinf(numbers).any():
        row, column = np.argwhere(np.isinf(numbers))[0]
        raise InputError(
            f"The table has an infinity in row {row}, column {column}; give NaN where nothing is known."
        )
    n = numbers.shape[1]
    square = len(numbers) == n
    kind = kind or ("affinity matrix" if square else "score table")
    if kind not in KINDS:
        raise InputError(f"The kind of a table must be one of: {', '.join(KINDS)}; got {kind!r}.")
    if kind == "affinity matrix" and not square:
        raise InputError(f"An affinity matrix must be square, got {numbers.shape}.")
    named = getattr(values, "columns", None) if tasks is None else tasks
    names = [f"task-{at}" for at in range(n)] if named is None else [str(task) for task in named]
    if len(names) != n:
        raise InputError(f"A table of {n} columns needs as many names of tasks, got {len(names)}.")
    checked = _check_names("The table", names)
    return (_of_matrix if kind == "affinity matrix" else _scored)(checked, numbers, lower_is_better)


def _read(path: Path) -> _Lines:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"The file {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise InputError(f"The file {path} is not UTF-8 text.") from None
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    rows = [
        (number, row)
        for number, row in enumerate(csv.reader(text.splitlines(), delimiter=delimiter), start=1)
        if any(cell.strip() for cell in row)
    ]
    if len(rows) < 2:
        raise InputError(f"{path} holds no rows under a header of task names.")
    (_, header), *body = rows
    for number, row in body:
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}: {len(row)} cells under a header of {len(header)}.")
    return _Lines(path, header, body)


def _check_names(path: Path | str, names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if not name:
            raise InputError(f"{path}: a column of the header has no task name.")
        if list(names).count(name) > 1:
            raise InputError(f"{path}: two tasks have the name '{name}'.")
    if len(names) < 2:
        raise InputError(f"{path}: grouping needs at least two tasks, got {len(names)}.")
    return tuple(names)


def _matrix(lines: _Lines, columns: list[str], names: list[str], lower_is_better: bool) -> Table:
    tasks = _check_names(lines.path, columns)
    place = dict(zip(names, lines.rows, strict=True))
    matrix = np.array(
        [
            [
                lines.number(line, column, cell) if cell.strip() else np.nan
                for column, cell in zip(tasks, cells[1:], strict=True)
            ]
            for line, cells in (place[name] for name in tasks)
        ]
    )
    return _of_matrix(tasks, matrix, lower_is_better)


def _of_matrix(tasks: tuple[str, ...], matrix: NDArray[np.float64], lower_is_better: bool) -> Table:
    known = np.isfinite(matrix)
    unknown_error = np.full(matrix.shape, np.nan)
    affinity = Affinity(-matrix if lower_is_better else matrix, known.astype(np.int64), unknown_error)
    return Table(tasks, affinity, "affinity matrix", 0)


def _wide(lines: _Lines, header: list[str], lower_is_better: bool) -> Table:
    skip = header[0].lower() in _RUN_LABELS
    tasks = _check_names(lines.path, header[1:] if skip else header)
    scores = np.array(
        [
            [
                lines.number(line, task, cell) if cell.strip() else np.nan
                for task, cell in zip(tasks, cells[1:] if skip else cells, strict=True)
            ]
            for line, cells in lines.rows
        ]
    )
    return _scored(tasks, scores, lower_is_better)


def _long(lines: _Lines, header: list[str], lower_is_better: bool) -> Table:
    run_at, task_at, score_at = (header.index(name) for name in _LONG)
    names = dict.fromkeys(cells[task_at].strip() for _, cells in lines.rows)
    tasks = _check_names(lines.path, list(names))
    runs = {run: number for number, run in enumerate(dict.fromkeys(c[run_at] for _, c in lines.rows))}
    scores = np.full((len(runs), len(tasks)), np.nan)
    for line, cells in lines.rows:
        at = runs[cells[run_at]], tasks.index(cells[task_at].strip())
        if not np.isnan(scores[at]):
            raise InputError(
                f"{lines.path}, line {line}: run {cells[run_at]} has a second score of task '{tasks[at[1]]}'."
            )
        scores[at] = lines.number(line, "score", cells[score_at])
    return _scored(tasks, scores, lower_is_better)


def _scored(tasks: tuple[str, ...], scores: NDArray[np.float64], lower_is_better: bool) -> Table:
    utility = -scores if lower_is_better else scores
    return Table(tasks, higher_order(~np.isnan(scores), utility), "score table", len(scores), utility)
