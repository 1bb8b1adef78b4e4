from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, model_validator

from cotune._config import Config
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Lora, Method
from cotune.training.options import (
    idle_in_stages,
    idle_on_one_task,
    idle_without_checkpoints,
    of_targets,
    refuse,
)


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

    @model_validator(mode="after")
    def _options_act(self) -> TransferConfig:
        place = "a fine-tuning"
        if self.training.replay is not None:
            raise ValueError(
                "training.replay is for instruction tuning, and a fine-tuning sees its few examples alone; "
                "leave it out."
            )
        if self.method.demonstrations:
            raise ValueError(
                "method.demonstrations must be 0, since a fine-tuning shows the solved examples of marking: "
                f"exemplars, got {self.method.demonstrations}."
            )
        refuse(of_targets(self.method, self.training, place))
        refuse(idle_on_one_task(self.training, place))
        refuse(idle_in_stages(self.training, [self.method]))
        refuse(idle_without_checkpoints(self.method, place))
        return self

    @property
    def most(self) -> int:
        """The most examples fine-tuned on."""
        return self.examples[-1]
