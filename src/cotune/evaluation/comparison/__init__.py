"""Compare arms of training on the same test examples with a margin (Table 2 of the paper)."""

from cotune.evaluation.comparison._compare import compare
from cotune.evaluation.comparison._format import format_gain, format_number
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
    TaskValue,
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
    "TaskValue",
    "Verdict",
    "compare",
    "format_gain",
    "format_number",
]
