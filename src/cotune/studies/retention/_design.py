"""The runs of a retention study: the pretrained model, and one for every method, learning rate and seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from cotune._config import parse
from cotune.studies.retention.config import Arm, RetentionConfig
from cotune.training.methods import METHODS, Method
from cotune.training.tuning import TuningConfig


@dataclass(frozen=True, slots=True)
class PretrainedRun:
    """Measure the model before any tuning."""

    kind: ClassVar[str] = "pretrained"

    @property
    def size(self) -> int:
        """One checkpoint."""
        return 1


@dataclass(frozen=True, slots=True)
class TuneRun:
    """Tune the model on the targets by one method, measured along the way.

    Parameters
    ----------
    method : str
        A key of METHODS.
    options : str
        The method's options as JSON; the label is none of them.
    learning_rate : float
        Of the last stage.
    seed : int
        Of fresh parameters and batches.
    steps : int
        Optimiser steps of all stages together.
    """

    kind: ClassVar[str] = "tune"
    method: str
    options: str
    learning_rate: float
    seed: int
    steps: int

    @property
    def size(self) -> int:
        """Its steps."""
        return self.steps


AnyRun = PretrainedRun | TuneRun


@dataclass(frozen=True)
class Cell:
    """A place in the comparison: an arm at one of the learning rates tried, with a seed."""

    arm: Arm
    learning_rate: float
    seed: int


def plan_cells(config: RetentionConfig, tasks: tuple[str, ...]) -> dict[Cell, TuneRun]:
    """Lay out the comparison.

    A method with a learning rate of its own in the last stage, such as prompt tuning, has one run for all the
    learning rates tried.
    """
    return {
        Cell(arm, rate, seed): tune_run(arm, rate, seed, config, tasks)
        for arm in config.methods
        for rate in config.rates
        for seed in range(config.seed, config.seed + config.seeds)
    }


def tune_run(arm: Arm, rate: float, seed: int, config: RetentionConfig, tasks: tuple[str, ...]) -> TuneRun:
    """Return the run of an arm."""
    recipe = tuning_config(config, rate)
    stages = arm.method.stages(recipe.steps, recipe.training, tasks)
    options = json.dumps(arm.method.plain(), sort_keys=True)
    steps = sum(stage.steps for stage in stages)
    return TuneRun(arm.name, options, stages[-1].training.learning_rate, seed, steps)


def tuning(run: TuneRun, config: RetentionConfig) -> tuple[Method, TuningConfig]:
    """Return the method and the recipe of a run."""
    method = parse(METHODS[run.method], json.loads(run.options), run.method)
    return method, tuning_config(config, run.learning_rate)


def tuning_config(config: RetentionConfig, learning_rate: float) -> TuningConfig:
    """Return the study's recipe at a learning rate."""
    return TuningConfig(
        steps=config.steps,
        checkpoint_every=config.checkpoint_every or max(1, config.steps // 10),
        checkpoints=config.extra_checkpoints,
        training=config.training.model_copy(update={"learning_rate": learning_rate}),
    )
