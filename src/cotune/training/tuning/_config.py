"""The recipe of a tuning run, and named recipes of papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import NonNegativeInt, PositiveInt, model_validator

from cotune._config import Config, did_you_mean
from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Method


@dataclass(frozen=True)
class Preset(Brief):
    """A named recipe.

    Parameters
    ----------
    tuning : mapping
        Keys of :class:`TuningConfig`.
    method : mapping
        Options of methods; a method takes those that it has.
    evaluation : mapping
        Options of the in-context evaluation.
    reading : mapping
        Keys of the model's configuration: how long prompts may be.
    """

    tuning: Mapping[str, Any]
    method: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)

    def make_method(self, name: str, options: Mapping[str, Any]) -> Method:
        """Make a method with the preset's options where none are given.

        Parameters
        ----------
        name : str
            A key of :data:`METHODS`.
        options : mapping
            Go before those of the preset.
        """
        kind = METHODS[name]
        known = {key: value for key, value in self.method.items() if key in kind.model_fields}
        return kind(**{**known, **options})


PRESETS: dict[str, Preset] = {
    "paper-mt5": Preset(
        tuning={
            "steps": 1000,
            "checkpoint_every": 100,
            "training": {
                "optimizer": "adafactor",
                "scale_parameter": True,
                "learning_rate": 1e-3,
                "schedule": "constant",
                "warmup": 0.0,
                "clip": None,
                "batch_size": 64,
                "dropout": 0.1,
                "label_smoothing": 0.1,
            },
        },
        method={
            "prompt_length": 100,
            "prompt_init": "vocabulary",
            "prompt_steps": 5000,
            "prompt_learning_rate": 0.2,
            "prompt_checkpoint_every": 1000,
        },
        evaluation={"num_beams": 4, "classification": "generation"},
        reading={"max_prompt_tokens": 1024},
    ),
}
"""``paper-mt5``: ProMoT on mT5 XXL (section 5.1). Adafactor is T5's own: a decay rate of 0.8, its learning
rate constant and, for weights, times the size of each matrix; only Adafactor's own update is clipped.
Inputs are cut to 1024 tokens, as the paper's summaries are; those of its other tasks are shorter."""


class TuningConfig(Config):
    """How a method is run on its target tasks."""

    preset: str | None = None
    """A named recipe (paper-mt5) for all keys that are not given."""
    steps: PositiveInt = 1000
    """Optimiser steps of the last stage."""
    checkpoint_every: PositiveInt = 100
    """Steps between checkpoints; there is one before the first step and after the last."""
    checkpoints: tuple[NonNegativeInt, ...] = ()
    """Further steps of every stage with a checkpoint, to see more of its beginning."""
    training: TrainingConfig = TrainingConfig()
    """The recipe; a method's first stage may replace parts of it."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        name = data.get("preset") if isinstance(data, Mapping) else None
        if name is None:
            return data
        recipe = get_preset(str(name)).tuning
        given = data.get("training", {})
        if isinstance(given, TrainingConfig):
            given = given.model_dump(include=given.model_fields_set)
        if not isinstance(given, Mapping):
            return data
        return {**recipe, **data, "training": {**recipe["training"], **given}}

    def due(self, steps: int, every: int | None = None) -> frozenset[int]:
        """Return the steps of a stage with a checkpoint.

        Parameters
        ----------
        steps : int
            Steps of the stage.
        every : int, optional
            Steps between checkpoints of the stage; by default those of the run.
        """
        regular = range(0, steps, every or self.checkpoint_every)
        return frozenset({*regular, steps, *(step for step in self.checkpoints if step < steps)})


def preset_training(name: str | None) -> Mapping[str, Any]:
    """Return the options of the recipe that a preset fills in; none without one."""
    recipe: Mapping[str, Any] = {} if name is None else get_preset(name).tuning["training"]
    return recipe


def get_preset(name: str) -> Preset:
    """Return the preset of a name.

    Raises
    ------
    InputError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise InputError(
            f"'{name}' is not a preset{did_you_mean(name, PRESETS)}; there is: {', '.join(PRESETS)}."
        )
    return PRESETS[name]
