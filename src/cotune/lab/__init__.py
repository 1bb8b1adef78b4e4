"""A world small enough for a laptop, where every step from runs to groups can be tried in seconds."""

from cotune.lab.function_classes import FUNCTION_CLASSES, FunctionClassConfig, FunctionClassLearner
from cotune.lab.planted import PlantedConfig, PlantedLearner

__all__ = [
    "FUNCTION_CLASSES",
    "FunctionClassConfig",
    "FunctionClassLearner",
    "PlantedConfig",
    "PlantedLearner",
]
