"""In-context evaluation: what a model does on tasks it only sees demonstrations of (ProMoT, section 5)."""

from cotune.evaluation.in_context._config import InContextConfig
from cotune.evaluation.in_context._evaluate import (
    InContextEvaluation,
    check_in_context,
    evaluate_in_context,
)
from cotune.evaluation.in_context._postprocessing import match_choice
from cotune.evaluation.in_context._score import InContextScore
from cotune.evaluation.in_context._summary import (
    InContextSummary,
    NormalisedAverage,
    normalised_average,
    summarise,
)

__all__ = [
    "InContextConfig",
    "InContextEvaluation",
    "InContextScore",
    "InContextSummary",
    "NormalisedAverage",
    "check_in_context",
    "evaluate_in_context",
    "match_choice",
    "normalised_average",
    "summarise",
]
