"""The kinds of learners a study file may name."""

from __future__ import annotations

from cotune._registry import Registry
from cotune.lab import FunctionClassConfig, PlantedConfig
from cotune.studies.grouping.recorded import RecordedConfig
from cotune.training.language_model import LanguageModelConfig
from cotune.training.learner import LearnerConfig

LEARNERS: Registry[LearnerConfig] = Registry(
    LearnerConfig,
    key="kind",
    group="cotune.learners",
    classes={
        "function_classes": FunctionClassConfig,
        "language_model": LanguageModelConfig,
        "planted": PlantedConfig,
        "recorded": RecordedConfig,
    },
)
"""The names a study file may write under ``learner.kind``."""
