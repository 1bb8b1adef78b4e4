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
]
