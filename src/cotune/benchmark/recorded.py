"""Recorded affinity tables: what training many subsets of tasks once gave, kept for grouping algorithms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cotune._config import Config, parse
from cotune._files import write_text
from cotune._json import parse_json
from cotune.affinity import Affinity
from cotune.exceptions import InputError
from cotune.grouping.preparation import SCALES

Scenario = Literal["multitask", "multi_instruction", "function_classes"]
"""What the tasks are (Table 1): data sets, instructions for one data set, or function classes."""

_FORMAT = "cotune recorded table"
_VERSION = 1
_Rows = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, eq=False)
class RecordedTable:
    """An affinity matrix with the families its tasks were taken from, and where it comes from.

    Parameters
    ----------
    name : str
        Of the table.
    scenario : {"multitask", "multi_instruction", "function_classes"}
        What the tasks are.
    tasks : tuple of str
        Names, in the order of the matrix.
    families : tuple of str
        The family of each task: the groups an algorithm should find.
    affinity : Affinity
        The matrix (higher is better) with counts and standard errors.
    scale : {"row_zscore", "two_way", "none"}
        How its rows are put on one scale before grouping.
    single : tuple of float or None
        Score of each task trained alone, higher is better; None where that was not measured.
    dropped : mapping of str to str
        Recorded tasks that were left out of the table, each with the reason.
    provenance : mapping of str to str
        Model, recipe, runs, versions and dates, to be read by people.
    """

    name: str
    scenario: Scenario
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    affinity: Affinity
    scale: str = "row_zscore"
    single: tuple[float, ...] | None = None
    dropped: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises
        ------
        InputError
            If they do not; names the table and the part.
        """
        n, where = len(self.tasks), f"Table {self.name!r}"
        if n < 2 or len(set(self.tasks)) < n:
            raise InputError(f"{where}: tasks must be at least two different names, got {list(self.tasks)}.")
        parts = {"families": self.families, "single": self.single}
        for part, values in parts.items():
            if values is not None and len(values) != n:
                raise InputError(
                    f"{where}: {part} must have one entry for each of {n} tasks, got {len(values)}."
                )
        for part in ("matrix", "counts", "stderr"):
            shape = getattr(self.affinity, part).shape
            if shape != (n, n):
                raise InputError(
                    f"{where}: {part} must be {n} x {n}, one row for each task, got shape {shape}."
                )
        if self.scale not in SCALES:
            raise InputError(f"{where}: scale must be one of {', '.join(SCALES)}, got {self.scale!r}.")

    def restricted(self, tasks: Sequence[str]) -> RecordedTable:
        """Keep some of the tasks.

        Parameters
        ----------
        tasks : sequence of str
            Names, in the order of the new table.

        Raises
        ------
        InputError
            If the table lacks one.
        """
        lacking = [task for task in tasks if task not in self.tasks]
        if lacking:
            raise InputError(f"Table {self.name!r} has no task {lacking[0]!r}.")
        at = [self.tasks.index(task) for task in tasks]
        square = np.ix_(at, at)
        affinity = self.affinity
        return RecordedTable(
            name=self.name,
            scenario=self.scenario,
            tasks=tuple(tasks),
            families=tuple(self.families[i] for i in at),
            affinity=Affinity(affinity.matrix[square], affinity.counts[square], affinity.stderr[square]),
            scale=self.scale,
            single=None if self.single is None else tuple(self.single[i] for i in at),
            dropped=self.dropped,
            provenance=self.provenance,
        )


class _File(Config):
    format: Literal["cotune recorded table"]
    version: Literal[1]
    name: Annotated[str, Field(min_length=1)]
    scenario: Scenario
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    scale: str
    matrix: _Rows
    counts: tuple[tuple[int, ...], ...]
    stderr: _Rows
    single: tuple[float, ...] | None = None
    dropped: dict[str, str] = Field(default_factory=dict)
    provenance: dict[str, str] = Field(default_factory=dict)


def write_recorded(table: RecordedTable, path: Path) -> None:
    """Write a table as JSON, a row of a matrix on a line; an entry that is not known is null."""
    fields: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "name": table.name,
        "scenario": table.scenario,
        "scale": table.scale,
        "tasks": list(table.tasks),
        "families": list(table.families),
        "single": None if table.single is None else list(table.single),
        "dropped": dict(table.dropped),
        "provenance": dict(table.provenance),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    affinity = table.affinity
    matrices = {"matrix": affinity.matrix, "counts": affinity.counts, "stderr": affinity.stderr}
    for key, matrix in matrices.items():
        rows = ",\n  ".join(json.dumps(_with_null(row)) for row in matrix.tolist())
        lines.append(f' "{key}": [\n  {rows}\n ]')
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_recorded(path: Path) -> RecordedTable:
    """Read a table that :func:`write_recorded` wrote.

    Parameters
    ----------
    path : Path
        The JSON file.

    Raises
    ------
    InputError
        If the file is missing, is no JSON, or is not a recorded table of this version; names the key.
    """
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The recorded table {path} cannot be read as JSON ({error}).") from error
    file = parse(_File, data, str(path))
    affinity = Affinity(_array(file.matrix), np.array(file.counts, dtype=np.int64), _array(file.stderr))
    return RecordedTable(
        name=file.name,
        scenario=file.scenario,
        tasks=file.tasks,
        families=file.families,
        affinity=affinity,
        scale=file.scale,
        single=file.single,
        dropped=file.dropped,
        provenance=file.provenance,
    )


def shipped_tables() -> tuple[RecordedTable, ...]:
    """Read the tables that come with the package, in the order of their names."""
    folder = files("cotune.benchmark") / "assets"
    found = sorted(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".json"))
    return tuple(read_recorded(path) for path in found)


def _with_null(row: list[float]) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in row]


def _array(rows: _Rows) -> NDArray[np.float64]:
    if len({len(row) for row in rows}) > 1:
        raise InputError("The rows of a recorded matrix must be equally long.")
    return np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=np.float64)
