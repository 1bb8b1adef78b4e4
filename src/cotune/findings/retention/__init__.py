"""What a study of how much in-context learning each tuning method keeps found."""

from cotune.findings.retention._records import (
    InContextValue,
    RetentionCheckpoint,
    RetentionCost,
    RetentionData,
    RetentionRun,
    RetentionTask,
    TargetScore,
)
from cotune.findings.retention._scores import PRETRAINED, At, Mean, RetentionScores, checkpoint_at
from cotune.findings.retention._verdict import (
    RetentionVerdict,
    kept_range,
    retention_verdict,
    threshold_text,
    verdict_of,
)

__all__ = [
    "PRETRAINED",
    "At",
    "InContextValue",
    "Mean",
    "RetentionCheckpoint",
    "RetentionCost",
    "RetentionData",
    "RetentionRun",
    "RetentionScores",
    "RetentionTask",
    "RetentionVerdict",
    "TargetScore",
    "checkpoint_at",
    "kept_range",
    "retention_verdict",
    "threshold_text",
    "verdict_of",
]
