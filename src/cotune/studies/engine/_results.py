"""What a study found: the result every kind gives, and the tables and files it is written to."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotune._files import write_text
from cotune._html import paragraphs
from cotune._repr import Brief
from cotune.models.precision import ChosenPrecision
from cotune.studies.engine._account import StageAccount
from cotune.studies.engine._runner import StageUsage

_LIBRARIES = ("cotune", "torch", "transformers", "peft", "accelerate", "scikit-learn", "numpy")


@dataclass(kw_only=True)
class StudyResult(Brief, ABC):
    """What a study found so far; each kind adds what follows from its records.

    Parameters
    ----------
    notes : mapping of str to tuple of str
        By task, what was cut or dropped.
    stages : list of StageUsage
        What was run.
    report : Path or None
        The report, when it was written.
    accounts : sequence of StageAccount
        What ``cotune plan`` had said of the stages, beside what they took; empty where it was not asked.
    incidents : sequence of str
        What became of runs whose workers died or whose records are damaged; empty where nothing went wrong.
    """

    notes: Mapping[str, tuple[str, ...]]
    stages: list[StageUsage]
    report: Path | None = None
    accounts: Sequence[StageAccount] = ()
    incidents: Sequence[str] = ()

    def _repr_html_(self) -> str:
        report = [] if self.report is None else [f"report: {self.report}"]
        return paragraphs([*self.sentences(), *report], type(self).__name__)

    @abstractmethod
    def sentences(self) -> Sequence[str]:
        """Say what was found, a line each."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what was found as plain JSON types."""


def cell(value: float | None) -> str:
    """Return a number with all its digits; a blank for one that is not known."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else repr(value)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table for a terminal, a line a row, columns under one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def write_json(path: Path, content: Any) -> None:
    """Write plain JSON types for people to read and programs to parse."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def machine_rows(
    stages: Iterable[StageUsage], precision: ChosenPrecision | None, accounts: Sequence[StageAccount]
) -> list[tuple[str, str]]:
    """Return machine, versions, precision, memory and times: name and value, as every report says them."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    rows = [
        ("machine", f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"),
        ("versions", f"Python {platform.python_version()}, {versions}"),
    ]
    if precision is not None:
        rows.append(("precision", str(precision)))
    peaks = [record.peak_bytes for stage in stages for record in stage.records]
    if peaks:
        rows.append(("largest memory of a worker process", f"{max(peaks) / 2**30:.2f} GiB"))
    rows += [(f"time of {account.title}", account.sentence()) for account in accounts]
    return rows if accounts else [*rows, ("time planned", "not known: 'cotune plan' was not asked before")]
