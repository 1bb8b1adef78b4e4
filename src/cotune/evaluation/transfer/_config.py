from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from cotune._config import Config
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Lora, Method


def _increasing(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(set(numbers)) != list(numbers):
        raise ValueError(f"must be increasing numbers of examples, got {list(numbers)}.")
    return numbers


class TransferConfig(Config):
    """How a model is fine-tuned on a few examples of a task it has not seen."""

    examples: Annotated[tuple[NonNegativeInt, ...], Field(min_length=2), AfterValidator(_increasing)] = (
        *(0, 5, 10),
        *(20, 30, 40),
    )
    """Numbers of examples fine-tuned on; fewer are the first of more."""
    draws: PositiveInt = 3
    """How often the examples are drawn anew."""
    marking: Literal["id", "exemplars", "instruction"] = "id"
    """What tells the model which task it is: an id that means nothing else, solved examples before every
    input, or the task's own instruction."""
    exemplars: PositiveInt = 4
    """With that marking, how many solved examples; they are none of those fine-tuned on."""
    method: Annotated[Method, METHODS] = Lora()
    """What is fine-tuned."""
    steps: PositiveInt = 50
    """Optimiser steps of a fine-tuning, whatever the number of its examples."""
    training: TrainingConfig = TrainingConfig()
    """The recipe of a fine-tuning; a batch is never larger than the number of examples."""

    @property
    def most(self) -> int:
        """The most examples fine-tuned on."""
        return self.examples[-1]
