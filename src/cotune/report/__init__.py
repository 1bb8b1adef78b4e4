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
    TransferScore,
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
from cotune.report._retention_scores import At, RetentionScores
from cotune.report._retention_table import RetentionTable, retention_table
from cotune.report._retention_verdict import RetentionVerdict, retention_verdict
from cotune.report._retention_write import render_retention_report, write_retention_report
from cotune.report._write import render_report, write_report

__all__ = [
    "AffinityData",
    "At",
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
    "RetentionScores",
    "RetentionTable",
    "RetentionTask",
    "RetentionVerdict",
    "RunKind",
    "TargetScore",
    "TaskRow",
    "TransferScore",
    "render_report",
    "render_retention_report",
    "retention_table",
    "retention_verdict",
    "write_report",
    "write_retention_report",
]
