"""The report of a study: one HTML file without scripts or remote resources."""

from cotune.report._data import (
    AffinityData,
    Baseline,
    FailedRun,
    GroupingData,
    GroupRow,
    KRule,
    Matrix,
    ReferenceLabels,
    ReportData,
    RunKind,
    TaskRow,
)
from cotune.report._write import render_report, write_report

__all__ = [
    "AffinityData",
    "Baseline",
    "FailedRun",
    "GroupRow",
    "GroupingData",
    "KRule",
    "Matrix",
    "ReferenceLabels",
    "ReportData",
    "RunKind",
    "TaskRow",
    "render_report",
    "write_report",
]
