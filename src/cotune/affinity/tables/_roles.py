"""Which columns of a wide table are tasks, and what the others are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune.affinity.tables import _names as names
from cotune.affinity.tables._columns import Column, Columns, check_numbers, listed
from cotune.affinity.tables._settings import Settings
from cotune.exceptions import SettingError

_COMPANIONS = names.SPREAD | names.ERROR | names.COUNT | names.EXTREME
_SURE_SUMMARY = names.SUMMARY - names.EXTREME - names.COUNT
_FULL_NAMED = 3
_MOSTLY = 0.9
"""Share of cells with a score beyond which, if most runs have all, blanks are failures and no design."""

_ROW: dict[str, Callable[..., Any]] = {
    "mean": np.nanmean,
    "sum": np.nansum,
    "minimum": np.nanmin,
    "maximum": np.nanmax,
    "median": np.nanmedian,
    "standard deviation": lambda rows, axis: np.nanstd(rows, axis=axis, ddof=1),
    "population standard deviation": np.nanstd,
    "number of scores": lambda rows, axis: (~np.isnan(rows)).sum(axis=axis).astype(float),
}
"""What a column may say of the others, by its name in words."""


@dataclass
class TaskColumn:
    """A column taken for a task, with the columns of its errors and counts."""

    name: str
    column: Column
    spread: Column | None = None
    error: Column | None = None
    count: Column | None = None

    def errors(self) -> NDArray[np.float64]:
        """Return standard errors of the scores, NaN where nothing tells them."""
        if self.error is not None:
            return self.error.numbers
        if self.spread is not None and self.count is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                found = self.spread.numbers / np.sqrt(self.count.numbers)
            return np.where(np.isfinite(found), found, np.nan)
        return self.column.errors


@dataclass
class Roles:
    """What every column is taken for."""

    tasks: list[TaskColumn]
    labels: list[Column]
    left_out: list[tuple[Column, str]] = field(default_factory=list)
    companions: list[Column] = field(default_factory=list)


def find_roles(columns: Columns, settings: Settings) -> Roles:
    """Tell tasks from counters, seeds, settings, summaries and labels.

    Raises
    ------
    SettingError
        If a column may be a task or not.
    """
    roles = Roles([], [])
    candidates: list[Column] = []
    for column in columns.columns:
        why = "" if column.name in settings.tasks and column.name else _not_a_task(column, settings)
        if why:
            roles.left_out.append((column, why))
        elif not column.numeric and not (column.name in settings.tasks and column.name):
            roles.labels.append(column)
        else:
            candidates.append(column)
    _refuse_renamed(columns, candidates, settings)
    candidates = _with_companions(candidates, roles, settings)
    for column in candidates:
        check_numbers(columns.sheet, column)
    _part_summaries(columns, candidates, roles, settings)
    return roles


def _refuse_renamed(columns: Columns, candidates: Sequence[Column], settings: Settings) -> None:
    """Refuse a column that pandas renamed because another has its name."""
    known = {column.name for column in candidates}
    for column in candidates:
        original, point, number = column.name.rpartition(".")
        if point and number.isdigit() and original in known and column.name not in settings.tasks:
            raise _unsure(columns, [column], f"is what pandas makes of a second column '{original}'")


def _not_a_task(column: Column, settings: Settings) -> str:
    """Say why a column is no task whatever the others are, or nothing."""
    if column.name in settings.leave_out and column.name:
        return "as told"
    if column.empty:
        return "empty"
    if not column.numeric:
        return ""
    name = column.plain
    if column.counts:
        return f"counts {column.content}"
    if column.full and column.whole and name in names.COUNTING:
        return f"whole numbers {column.content}"
    if column.full and name in (names.SETTING | names.STEP):
        return f"a setting: {column.content}"
    return ""


def _with_companions(candidates: list[Column], roles: Roles, settings: Settings) -> list[Column]:
    """Join means with their errors and counts, and tasks with one of several metrics; return the rest."""
    by_name = {column.name: column for column in candidates}
    means = {}
    for column in candidates:
        found = names.parted(column.name, names.MEAN)
        if found is not None and column.name not in settings.tasks:
            means[found[0]] = column
    owners: dict[int, TaskColumn] = {}
    taken: set[int] = set()
    for column in candidates:
        found = names.parted(column.name, _COMPANIONS)
        if found is None or column.name in settings.tasks:
            continue
        owner = by_name.get(found[0]) or means.get(found[0])
        if owner is None or owner is column:
            continue
        task = owners.setdefault(owner.at, TaskColumn(found[0], owner))
        taken.add(column.at)
        roles.companions.append(column)
        if found[1] in names.SPREAD:
            task.spread = column
        elif found[1] in names.ERROR:
            task.error = column
        elif found[1] in names.COUNT:
            task.count = column
    rest = []
    for column in candidates:
        if column.at in taken:
            continue
        found = names.parted(column.name, names.MEAN) if owners else None
        if found is not None and column.at not in owners:
            owners[column.at] = TaskColumn(found[0], column)
        roles.tasks.append(owners.get(column.at, TaskColumn(column.name, column)))
        rest.append(column)
    return rest


def _part_summaries(columns: Columns, candidates: list[Column], roles: Roles, settings: Settings) -> None:
    """Leave out columns that sum up the others, or cannot be tasks beside columns with blanks."""
    told = set(settings.tasks)
    summaries = [c for c in candidates if c.plain in names.SUMMARY and c.name not in told]
    others = [c for c in candidates if c not in summaries]
    if not others:
        return
    with_blanks = [c for c in others if not c.full]
    rows = np.column_stack([c.numbers for c in others])
    for column in summaries:
        what = sums_up(column.numbers, rows)
        if what:
            _leave(roles, column, f"the {what} of each row")
        elif column.full and (
            column.plain in _SURE_SUMMARY or (column.whole and column.plain in names.COUNT)
        ):
            _leave(roles, column, f"by its name: {column.content}")
        elif column.plain in _SURE_SUMMARY or column.full:
            raise _unsure(columns, [column], "is called like a summary and is not one of the other columns")
    if not with_blanks or len(rows) < 2 or is_full(rows):
        return
    tasks = np.column_stack([c.numbers for c in with_blanks])
    open_cases = []
    for column in others:
        if not column.full or column.name in told:
            continue
        what = sums_up(column.numbers, tasks)
        if what:
            _leave(roles, column, f"the {what} of each row")
        elif len(set(column.numbers.tolist())) == 1:
            _leave(roles, column, f"the same in every run: {column.content}")
        elif not column.name:
            _leave(roles, column, f"without a name: {column.content}")
        else:
            open_cases.append(column)
    if open_cases:
        raise _unsure(columns, open_cases, "has a number in every run, as no other task has")


def is_full(scores: NDArray[np.float64]) -> bool:
    """Whether every run, or nearly, has a score of every task."""
    known = ~np.isnan(scores)
    full = known.all(1)
    return bool(full.all() or (full.mean() > 0.5 and known.mean() > _MOSTLY))


def sums_up(values: NDArray[np.float64], rows: NDArray[np.float64]) -> str:
    """Say what a column tells of the others in its row, or nothing."""
    inside = (~np.isnan(rows)).any(1)
    if inside.sum() < 2 or rows.shape[1] < 2:
        return ""
    chosen, said = rows[inside], values[inside]
    for what, statistic in _ROW.items():
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a single score has no deviation
            expected = statistic(chosen, axis=1)
        ok = np.isfinite(expected)
        if ok.sum() < 2 or not np.isfinite(said[ok]).all():
            continue
        if np.abs(said[ok] - expected[ok]).max() <= _rounding(chosen):
            return what
    return ""


def _rounding(rows: NDArray[np.float64]) -> float:
    """Return what rounding to four digits, or three of small numbers, may change."""
    return 6e-4 * max(float(np.nanmax(np.abs(rows))), 1e-12)


def _leave(roles: Roles, column: Column, why: str) -> None:
    roles.tasks = [task for task in roles.tasks if task.column is not column]
    roles.left_out.append((column, why))


def _unsure(columns: Columns, found: Sequence[Column], what: str) -> SettingError:
    first = found[0]
    more = f" (and {listed([c.shown for c in found[1:]], _FULL_NAMED)})" if len(found) > 1 else ""
    return SettingError(
        f"{columns.path}: {first.shown}{more} {what}; say whether it is a task with {{task}} or "
        "{leave_out}.",
        task=("tasks", first.name),
        leave_out=("leave_out", first.name),
    )


def describe_roles(roles: Roles, total: int) -> Iterable[str]:
    """Say what is taken for a task and what is left out, a sentence each."""
    taken = [task.name for task in roles.tasks]
    all_of = "all" if len(taken) == total else f"{len(taken)} of"
    yield f"taken for tasks: {all_of} {total} columns ({listed(taken)})"
    if roles.companions:
        use = (
            "read as the scores' standard errors"
            if any(np.isfinite(task.errors()).any() for task in roles.tasks)
            else "which without counts of seeds tell no standard errors"
        )
        yield f"columns beside the scores: {listed([c.name for c in roles.companions])}, {use}"
    elif any(np.isfinite(task.column.errors).any() for task in roles.tasks):
        yield "what stands behind the scores in a cell: read as their standard errors"
    for task in roles.tasks:
        known = task.column.numbers[~np.isnan(task.column.numbers)]
        if len(known) > 1 and len(set(known.tolist())) == 1:
            yield f"'{task.name}' has the score {known[0]:g} in all its runs: it tells nothing of its company"
    for column, why in roles.left_out:
        yield f"left out: {column.shown} ({why})"
    for column in roles.labels:
        yield f"left out: {column.shown} (text: {column.content})"
