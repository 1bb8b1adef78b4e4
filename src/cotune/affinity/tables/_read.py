"""Score tables and affinity matrices in files, from any source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cotune.affinity.tables import _names as names
from cotune.affinity.tables._columns import Columns, listed, read_columns
from cotune.affinity.tables._long import read_long, task_column
from cotune.affinity.tables._numbers import Decimal
from cotune.affinity.tables._pairs import read_pairs
from cotune.affinity.tables._settings import KINDS, Kind, Settings
from cotune.affinity.tables._sheet import Sheet, read_sheet
from cotune.affinity.tables._square import read_matrix
from cotune.affinity.tables._table import Table
from cotune.affinity.tables._wide import read_wide
from cotune.exceptions import InputError


def read_table(
    path: str | Path,
    *,
    lower_is_better: bool = False,
    kind: Kind | None = None,
    tasks: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    subset_column: str | None = None,
    metric: str | None = None,
    decimal: Decimal | None = None,
) -> Table:
    """Read a score table or an affinity matrix with task names.

    Four layouts are told apart:

    - an affinity matrix: task names in the header and, in the same order or another, in one of the first
      columns; rows are the tasks that are helped. Or a row for every pair, in columns called source, target
      and affinity;
    - a wide score table: task names in the header, a row for every run, blank where a task was not in the
      run's subset. Columns that count, name or sum up runs are left out, which ``notes`` of the table say;
    - the same turned: a row for every task, under a column called task, or under names such as run-1;
    - a long score table: a row for every score, with columns that name task, score and run.

    What could be read in two ways is refused with the parameter that settles it.

    Parameters
    ----------
    path : str or Path
        Text separated by commas, semicolons, tabs, bars or spaces, in UTF-8, UTF-16 or Latin-1; or Parquet.
    lower_is_better : bool
        Whether scores are losses; they are negated. Tables whose columns are called so are taken for losses.
    kind : {"affinity matrix", "score table"}, optional
        What a square table without names on its rows is.
    tasks : sequence of str
        Columns that are tasks whatever they look like.
    leave_out : sequence of str
        Columns, or tasks, that are left out.
    subset_column : str, optional
        The column that lists the tasks which a run trained; scores of others are left out.
    metric : str, optional
        Which one, where tasks have several.
    decimal : {"point", "comma"}, optional
        The decimal sign, where the numbers do not tell.

    Raises
    ------
    InputError
        Names the line, and what is valid.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"The kind of a table must be one of: {', '.join(KINDS)}; got {kind!r}.")
    settings = Settings(lower_is_better, kind, tasks, leave_out, subset_column, metric, decimal)
    columns = read_columns(read_sheet(Path(path)), decimal)
    columns.named(tasks, "a task")
    table = _read(columns, settings)
    if leave_out:
        _check_left_out(columns, table, leave_out)
    return table


def _read(columns: Columns, settings: Settings) -> Table:
    if settings.kind != "score table":
        matrix = read_matrix(columns, settings)
        if matrix is not None:
            return matrix
        pairs = read_pairs(columns, settings)
        if pairs is not None:
            return pairs
    task = task_column(columns)
    if task is not None and settings.kind != "affinity matrix":
        return read_long(columns, task, settings)
    turned = _turned(columns)
    return read_wide(turned or columns, settings)


def _turned(columns: Columns) -> Columns | None:
    """Return a table with a row for every task turned into one with a row for every run; None of another."""
    text = [c for c in columns.columns if not c.numeric and not c.empty and len(set(c.cells)) == len(c.cells)]
    numeric = [c for c in columns.columns if c.numeric and not c.counts]
    label = next((c for c in text if c.plain in names.TASK), None)
    runs = [c for c in numeric if names.is_run_like(c.name)]
    if label is None and len(runs) > 1 and len(runs) >= len(numeric) - 2:
        label = next((c for c in text if not all(names.is_run_like(cell) for cell in c.cells)), None)
    if label is None or len(numeric) < 2:
        return None
    left = [c for c in columns.columns if c is not label and c not in numeric and not c.empty]
    notes = [*columns.sheet.notes, "turned: a row for every task, a column for every run"]
    notes += [f"left out: {c.shown} ({c.content})" for c in left]
    rows = [[c.name, *c.cells] for c in numeric]
    sheet = Sheet(columns.path, ["run", *label.cells], rows, [1] * len(rows), notes)
    return read_columns(sheet, columns.decimal)


def _check_left_out(columns: Columns, table: Table, leave_out: Sequence[str]) -> None:
    known = {cell for column in columns.columns for cell in (column.name, *column.cells)}
    for name in leave_out:
        if name not in known:
            raise InputError(
                f"{columns.path} has no column or task '{name}' to leave out; it has "
                f"{listed([c.name for c in columns.columns if c.name], 12)}."
            )
        if name in table.tasks:
            raise InputError(f"{columns.path}: '{name}' is to be left out and is a task.")
