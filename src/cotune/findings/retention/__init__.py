"""What a study of how much in-context learning each tuning method keeps found."""

from cotune.evaluation.format_specialisation import ModuleAlignment
from cotune.findings.retention._answers import Answered, LabelShares
from cotune.findings.retention._curves import (
    CheckpointValue,
    StepCurve,
    along_steps,
    last_stage,
    target_score,
)
from cotune.findings.retention._findings import MethodCost, RetentionFindings, retention_findings
from cotune.findings.retention._last_stage import CHANGE_HEADER, MethodChange, Untuned
from cotune.findings.retention._records import (
    InContextValue,
    ReplayArm,
    RetentionCheckpoint,
    RetentionCost,
    RetentionData,
    RetentionRun,
    RetentionTask,
    TargetScore,
)
from cotune.findings.retention._scores import (
    PRETRAINED,
    At,
    Kept,
    Mean,
    RetentionScores,
    checkpoint_at,
    is_result,
)
from cotune.findings.retention._smallest import SmallestRatio, SmallestReplay, smallest_ratio
from cotune.findings.retention._types import TypeAverage
from cotune.findings.retention._verdict import RetentionVerdict, kept_range, threshold_text

__all__ = [
    "CHANGE_HEADER",
    "PRETRAINED",
    "Answered",
    "At",
    "CheckpointValue",
    "InContextValue",
    "Kept",
    "LabelShares",
    "Mean",
    "MethodChange",
    "MethodCost",
    "ModuleAlignment",
    "ReplayArm",
    "RetentionCheckpoint",
    "RetentionCost",
    "RetentionData",
    "RetentionFindings",
    "RetentionRun",
    "RetentionScores",
    "RetentionTask",
    "RetentionVerdict",
    "SmallestRatio",
    "SmallestReplay",
    "StepCurve",
    "TargetScore",
    "TypeAverage",
    "Untuned",
    "along_steps",
    "checkpoint_at",
    "is_result",
    "kept_range",
    "last_stage",
    "retention_findings",
    "smallest_ratio",
    "target_score",
    "threshold_text",
]
