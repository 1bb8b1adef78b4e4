from __future__ import annotations

from typing import Literal

from cotune.training.methods._soft_prompt import PromptedWeightsMethod


class RandomPrompt(PromptedWeightsMethod):
    """The weights are tuned under a prompt that is drawn once and stays as it is."""

    prompt_init: Literal["uniform"] = "uniform"
    """Uniform in (-0.5, 0.5), as in the paper."""
