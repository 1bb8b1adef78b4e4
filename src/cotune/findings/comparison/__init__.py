"""Compare arms of training on the same test examples with a margin (Table 2 of AdaGroup)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.findings.comparison._budget import CONVERGED, Budget, budget_order, budget_words
    from cotune.findings.comparison._choice import UNDECIDED, arm_words, choosable
    from cotune.findings.comparison._compare import compare, discovered
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

_HOMES = {
    "ArmAverage": "_types",
    "ArmMean": "_types",
    "ArmScore": "_types",
    "Budget": "_budget",
    "CONFIDENCE": "_types",
    "CONVERGED": "_budget",
    "Comparison": "_types",
    "Contrast": "_types",
    "Course": "_looks",
    "Decision": "_types",
    "Ending": "_looks",
    "Look": "_looks",
    "LookTaken": "_looks",
    "Looks": "_course",
    "MeanWithMargin": "_types",
    "MeasuredGain": "_predicted",
    "MetricTasks": "_types",
    "Needs": "_types",
    "Outlook": "_types",
    "TaskGain": "_types",
    "TaskValue": "_types",
    "UNDECIDED": "_choice",
    "Verdict": "_types",
    "arm_words": "_choice",
    "budget_order": "_budget",
    "budget_words": "_budget",
    "choosable": "_choice",
    "compare": "_compare",
    "detectable": "_outlook",
    "discovered": "_compare",
    "foreseen": "_outlook",
    "format_gain": "_verdict",
    "margin_at": "_statistics",
    "measured_gain": "_predicted",
}

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
    "arm_words",
    "budget_order",
    "budget_words",
    "choosable",
    "compare",
    "detectable",
    "discovered",
    "foreseen",
    "format_gain",
    "margin_at",
    "measured_gain",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
