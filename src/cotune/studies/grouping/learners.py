"""The kinds of learners a study file may name."""

from __future__ import annotations

from cotune.lab import FunctionClassConfig
from cotune.training.language_model import LanguageModelConfig
from cotune.training.learner_config import LearnerConfig

LEARNERS: dict[str, type[LearnerConfig]] = {
    "function_classes": FunctionClassConfig,
    "language_model": LanguageModelConfig,
}
"""The names a study file may write under ``learner.kind``."""
