from __future__ import annotations

from typing import ClassVar

from cotune.training.methods._soft_prompt import PromptedWeightsMethod


class Joint(PromptedWeightsMethod):
    """One stage that trains the soft prompt and the weights at one learning rate."""

    trains: ClassVar[tuple[str, ...]] = ("prompt", "weights")
