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
from cotune.report._retention_data import (
    InContextValue,
    RetentionCheckpoint,
    RetentionCost,
    RetentionData,
    RetentionRun,
    RetentionTask,
    TargetScore,
)
from cotune.report._write import render_report, write_report

__all__ = [
    "AffinityData",
    "Baseline",
    "FailedRun",
    "GroupRow",
    "GroupingData",
    "InContextValue",
    "KRule",
    "Matrix",
    "ReferenceLabels",
    "ReportData",
    "RetentionCheckpoint",
    "RetentionCost",
    "RetentionData",
    "RetentionRun",
    "RetentionTask",
    "RunKind",
    "TargetScore",
    "TaskRow",
    "render_report",
    "write_report",
]
