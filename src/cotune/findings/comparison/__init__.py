"""Compare arms of training on the same test examples with a margin (Table 2 of AdaGroup)."""

from cotune.findings.comparison._budget import CONVERGED, Budget, budget_order, budget_words
from cotune.findings.comparison._choice import UNDECIDED, choosable
from cotune.findings.comparison._compare import compare
from cotune.findings.comparison._course import Looks
from cotune.findings.comparison._looks import Course, Ending, Look, LookTaken
from cotune.findings.comparison._outlook import detectable, foreseen
from cotune.findings.comparison._predicted import MeasuredGain, measured_gain
from cotune.findings.comparison._statistics import margin_at
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
    Outlook,
    TaskGain,
    TaskValue,
    Verdict,
)
from cotune.findings.comparison._verdict import format_gain

__all__ = [
    "CONFIDENCE",
    "CONVERGED",
    "UNDECIDED",
    "ArmAverage",
    "ArmMean",
    "ArmScore",
    "Budget",
    "Comparison",
    "Contrast",
    "Course",
    "Decision",
    "Ending",
    "Look",
    "LookTaken",
    "Looks",
    "MeanWithMargin",
    "MeasuredGain",
    "MetricTasks",
    "Needs",
    "Outlook",
    "TaskGain",
    "TaskValue",
    "Verdict",
    "budget_order",
    "budget_words",
    "choosable",
    "compare",
    "detectable",
    "foreseen",
    "format_gain",
    "margin_at",
    "measured_gain",
]
