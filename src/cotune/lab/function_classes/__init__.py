"""Function classes learned in context: a grouping problem whose answer is known."""

from cotune.lab.function_classes._laws import (
    FUNCTION_CLASSES,
    LAW_SETS,
    Law,
    LinearLaw,
    ReluLaw,
    TreeLaw,
)
from cotune.lab.function_classes._learner import FunctionClassConfig, FunctionClassLearner

__all__ = [
    "FUNCTION_CLASSES",
    "LAW_SETS",
    "FunctionClassConfig",
    "FunctionClassLearner",
    "Law",
    "LinearLaw",
    "ReluLaw",
    "TreeLaw",
]
