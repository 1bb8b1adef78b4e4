"""What a study of how much in-context learning each tuning method keeps found."""

from cotune.findings.retention._findings import MethodCost, RetentionFindings, retention_findings
from cotune.findings.retention._records import (
    InContextValue,
    RetentionCheckpoint,
    RetentionCost,
    RetentionData,
    RetentionRun,
    RetentionTask,
    TargetScore,
)
from cotune.findings.retention._scores import PRETRAINED, At, Kept, Mean, RetentionScores, checkpoint_at
from cotune.findings.retention._verdict import RetentionVerdict, kept_range, threshold_text

__all__ = [
    "PRETRAINED",
    "At",
    "InContextValue",
    "Kept",
    "Mean",
    "MethodCost",
    "RetentionCheckpoint",
    "RetentionCost",
    "RetentionData",
    "RetentionFindings",
    "RetentionRun",
    "RetentionScores",
    "RetentionTask",
    "RetentionVerdict",
    "TargetScore",
    "checkpoint_at",
    "kept_range",
    "retention_findings",
    "threshold_text",
]
