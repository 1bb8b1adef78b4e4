"""The learner of real models: a fresh adapter on a shared frozen base for every subset of tasks."""

from cotune.training.language_model._learner import LanguageModelConfig, LanguageModelLearner

__all__ = ["LanguageModelConfig", "LanguageModelLearner"]
