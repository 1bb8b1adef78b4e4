"""Compare arms of training on the same test examples with a margin (Table 2 of AdaGroup)."""

from cotune.findings.comparison._compare import compare
from cotune.findings.comparison._predicted import MeasuredGain, measured_gain
from cotune.findings.comparison._types import (
    CONFIDENCE,
    ArmAverage,
    ArmMean,
    ArmScore,
    Comparison,
    Contrast,
    Decision,
    MeanWithMargin,
    MetricTasks,
    Needs,
    TaskGain,
    TaskValue,
    Verdict,
)
from cotune.findings.comparison._verdict import format_gain

__all__ = [
    "CONFIDENCE",
    "ArmAverage",
    "ArmMean",
    "ArmScore",
    "Comparison",
    "Contrast",
    "Decision",
    "MeanWithMargin",
    "MeasuredGain",
    "MetricTasks",
    "Needs",
    "TaskGain",
    "TaskValue",
    "Verdict",
    "compare",
    "format_gain",
    "measured_gain",
]
