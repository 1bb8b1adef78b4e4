"""What a study of which tasks to train together found."""

from cotune.findings.grouping._records import (
    AffinityData,
    ArmRow,
    Baseline,
    GroupingData,
    GroupRow,
    KRule,
    Matrix,
    ReferenceLabels,
    ReportData,
    TaskRow,
    TransferScore,
)

__all__ = [
    "AffinityData",
    "ArmRow",
    "Baseline",
    "GroupRow",
    "GroupingData",
    "KRule",
    "Matrix",
    "ReferenceLabels",
    "ReportData",
    "TaskRow",
    "TransferScore",
]
