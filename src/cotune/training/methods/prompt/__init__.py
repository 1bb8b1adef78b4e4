"""Prompt tuning (Lester et al. 2021): a soft prompt is trained, the model is frozen."""

from cotune.training.methods.prompt._prompt import Prompt

__all__ = ["Prompt"]
