"""The learner of real models: a fresh adapter on a shared frozen base for every subset of tasks."""

from cotune.training.language_model._config import LanguageModelConfig
from cotune.training.language_model._learner import LanguageModelLearner

__all__ = ["LanguageModelConfig", "LanguageModelLearner"]
