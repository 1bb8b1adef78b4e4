from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt, field_validator, model_validator

from cotune._config import Config, did_you_mean
from cotune.lab.function_classes._laws import FUNCTION_CLASSES, LAW_SETS


class FunctionClassSettings(Config):
    """Which function classes there are, and how models learn them."""

    classes: tuple[str, ...] = LAW_SETS["scales"]
    """Names of the function classes; three scales of each of three types by default."""
    dimension: PositiveInt = 3
    """Coordinates of a point."""
    points: PositiveInt = 11
    """Points of a prompt: the last value is predicted from points - 1 examples."""
    width: PositiveInt = 32
    """Width of the transformer, a multiple of heads."""
    layers: PositiveInt = 2
    """Blocks of the transformer."""
    heads: PositiveInt = 2
    """Attention heads of a block."""
    batch_size: PositiveInt = 24
    """Prompts a step, shared evenly by the classes of the run."""
    base_steps: PositiveInt = 600
    """Steps of the model that is trained on all classes."""
    base_lr: PositiveFloat = 3e-3
    """Its peak learning rate."""
    base_seed: int = 0
    """Determines its weights and prompts, and the prompts that every model is scored on."""
    steps: PositiveInt = 100
    """Steps of a run, where the call does not say."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate of a run."""
    eval_prompts: PositiveInt = 200
    """Prompts that a model is scored on, for each class and split."""
    side_by_side: PositiveInt = 14
    """Models trained in one pass; sets the speed and the memory, not the result."""

    @field_validator("classes")
    @classmethod
    def _classes_exist(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        for name in classes:
            if name not in FUNCTION_CLASSES:
                hint = did_you_mean(name, FUNCTION_CLASSES)
                raise ValueError(f"each must be one of: {', '.join(FUNCTION_CLASSES)}; got {name!r}{hint}.")
        if not classes or len(set(classes)) < len(classes):
            raise ValueError(f"must name at least one class, and none twice; got {list(classes)}.")
        return classes

    @model_validator(mode="after")
    def _heads_divide_width(self) -> FunctionClassSettings:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads {self.heads}, got {self.width}.")
        return self
