"""The report of a study: one HTML file without scripts or remote resources."""

from cotune.report._data import (
    AffinityData,
    ArmRow,
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
from cotune.report._functions_data import FunctionsData, GroupsRow, LawsSection
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
from cotune.report._transfer_study_claims import Claim, transfer_claims
from cotune.report._transfer_study_data import (
    HeldOutResult,
    SeenLoss,
    TransferArm,
    TransferCheckpoint,
    TransferData,
    TransferPoint,
    TransferRun,
    TransferTask,
)
from cotune.report._transfer_study_findings import TransferFindings, transfer_findings
from cotune.report._write import render_report, write_report

__all__ = [
    "AffinityData",
    "ArmRow",
    "At",
    "Baseline",
    "Claim",
    "FailedRun",
    "FunctionsData",
    "GroupRow",
    "GroupingData",
    "GroupsRow",
    "HeldOutResult",
    "InContextValue",
    "KRule",
    "LawsSection",
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
    "SeenLoss",
    "TargetScore",
    "TaskRow",
    "TransferArm",
    "TransferCheckpoint",
    "TransferData",
    "TransferFindings",
    "TransferPoint",
    "TransferRun",
    "TransferScore",
    "TransferTask",
    "render_report",
    "retention_table",
    "retention_verdict",
    "transfer_claims",
    "transfer_findings",
    "write_report",
]
