"""Tables of scores and affinities in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune._frames import aligned, column_names, numbers_of
from cotune._html import heat_map, paragraphs
from cotune._repr import Brief
from cotune.affinity._affinity import Affinity
from cotune.affinity._higher_order import higher_order
from cotune.affinity.tables._settings import KINDS, Kind
from cotune.exceptions import InputError

_SCORES = '; a score table, whose rows are runs, needs kind="score table"'


@dataclass(frozen=True)
class Table(Brief):
    """What a file of scores or affinities holds.

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
    notes : tuple of str
        How the file was read: what was taken for a task, what was left out.
    """

    tasks: tuple[str, ...]
    affinity: Affinity
    kind: Kind
    n_runs: int
    scores: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        runs = f", {self.n_runs} runs" if self.n_runs else ""
        return paragraphs(self.notes, f"{self.kind} of {len(self.tasks)} tasks{runs}") + heat_map(
            self.tasks, self.affinity.matrix
        )


def table_of(
    values: ArrayLike,
    *,
    tasks: Sequence[str] | None = None,
    kind: Kind | None = None,
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
    shape = _shape(values)
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"The table must be of two dimensions, runs or tasks by tasks, got {shape}.")
    kind = kind or ("affinity matrix" if shape[0] == shape[1] else "score table")
    if kind not in KINDS:
        raise InputError(f"The kind of a table must be one of: {', '.join(KINDS)}; got {kind!r}.")
    if kind == "affinity matrix" and shape[0] != shape[1]:
        raise InputError(f"An affinity matrix must be square, got {shape}.")
    note = ""
    if kind == "affinity matrix":
        values, note = aligned(values, "The table", _SCORES)
    numbers = _numbers(values)
    n = numbers.shape[1]
    named = column_names(values) if tasks is None else tasks
    names = [f"task-{at}" for at in range(n)] if named is None else [str(task) for task in named]
    if len(names) != n:
        raise InputError(f"A table of {n} columns needs as many names of tasks, got {len(names)}.")
    checked = check_names("The table", names)
    if kind == "affinity matrix":
        return of_matrix(checked, numbers, lower_is_better, notes=(note,) if note else ())
    return scored(checked, numbers, lower_is_better)


def _shape(values: ArrayLike) -> tuple[int, ...]:
    try:
        return np.shape(values)
    except ValueError:
        raise InputError("The table must hold numbers alone, in rows of one length.") from None


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    try:
        numbers = numbers_of(values)
    except (TypeError, ValueError):
        raise InputError("The table must hold numbers alone, in rows of one length.") from None
    if np.isinf(numbers).any():
        row, column = np.argwhere(np.isinf(numbers))[0]
        raise InputError(
            f"The table has an infinity in row {row}, column {column}; give NaN where nothing is known."
        )
    return numbers


def of_matrix(
    tasks: tuple[str, ...], matrix: NDArray[np.float64], lower_is_better: bool, *, notes: tuple[str, ...] = ()
) -> Table:
    """Make a table of an affinity matrix, row i the task that is helped."""
    known = np.isfinite(matrix)
    unknown_error = np.full(matrix.shape, np.nan)
    affinity = Affinity(-matrix if lower_is_better else matrix, known.astype(np.int64), unknown_error)
    return Table(tasks, affinity, "affinity matrix", 0, notes=notes)


def scored(
    tasks: tuple[str, ...],
    scores: NDArray[np.float64],
    lower_is_better: bool,
    *,
    errors: NDArray[np.float64] | None = None,
    notes: tuple[str, ...] = (),
) -> Table:
    """Make a table of the scores of runs, with standard errors where they are known."""
    utility = -scores if lower_is_better else scores
    inside = ~np.isnan(scores)
    affinity = higher_order(inside, utility)
    if errors is not None:
        affinity = _with_errors(affinity, inside, np.where(inside, errors, np.nan))
    return Table(tasks, affinity, "score table", len(scores), utility, notes=notes)


def _with_errors(affinity: Affinity, inside: NDArray[np.bool_], errors: NDArray[np.float64]) -> Affinity:
    """Give entries that rest on a single run the standard error of its score; several runs tell their own."""
    single = affinity.counts == 1
    if not (single & np.isnan(affinity.stderr)).any() or np.isnan(errors[inside]).any():
        return affinity
    # Of a single run the sum is the one error there is.
    of_pairs = np.where(inside, errors, 0.0).T @ inside.astype(float)
    return replace(affinity, stderr=np.where(single, of_pairs, affinity.stderr))


def check_names(path: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """Check names of tasks.

    Raises
    ------
    InputError
        If one is missing or stands twice, or there is only one.
    """
    for name in tasks:
        if not name:
            raise InputError(f"{path}: a column of the header has no task name.")
        if list(tasks).count(name) > 1:
            raise InputError(f"{path}: two tasks have the name '{name}'.")
    if len(tasks) < 2:
        raise InputError(f"{path}: grouping needs at least two tasks, got {len(tasks)}.")
    return tuple(tasks)
