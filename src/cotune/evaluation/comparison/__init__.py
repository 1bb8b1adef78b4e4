"""Compare arms of training on the same test examples with a margin (Table 2 of the paper)."""

from cotune.evaluation.comparison._types import (
    CONFIDENCE,
    ArmAverage,
    ArmMean,
    ArmScore,
    Comparison,
    Contrast,
    Decision,
    Estimate,
    Metric,
    TaskGain,
    Verdict,
)

__all__ = [
    "CONFIDENCE",
    "ArmAverage",
    "ArmMean",
    "ArmScore",
    "Comparison",
    "Contrast",
    "Decision",
    "Estimate",
    "Metric",
    "TaskGain",
    "Verdict",
]
