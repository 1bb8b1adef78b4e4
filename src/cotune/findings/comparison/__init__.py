"""Compare arms of training on the same test examples with a margin (Table 2 of AdaGroup)."""

from cotune.findings.comparison._budget import CONVERGED, Budget, budget_order, budget_words
from cotune.findings.comparison._choice import choosable
from cotune.findings.comparison._compare import compare
from cotune.findings.comparison._course import contenders, course_of, ending_after, look_taken
from cotune.findings.comparison._looks import Course, Ending, Look, LookTaken
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
    Outlook,
    TaskGain,
    TaskValue,
    Verdict,
)
from cotune.findings.comparison._verdict import format_gain

__all__ = [
    "CONFIDENCE",
    "CONVERGED",
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
    "contenders",
    "course_of",
    "ending_after",
    "format_gain",
    "look_taken",
    "measured_gain",
]
