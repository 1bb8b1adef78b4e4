"""Weights tuned under a random soft prompt that is never trained: the ablation of ProMoT (section 5.4)."""

from cotune.training.methods.random_prompt._random_prompt import RandomPrompt

__all__ = ["RandomPrompt"]
