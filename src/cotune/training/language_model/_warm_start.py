"""The starting point of all runs: parameters trained on many tasks at once, instead of fresh ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from cotune._config import Config
from cotune._seals import file_damage, sealed_file
from cotune.exceptions import InputError, RunError
from cotune.tasks import Task
from cotune.training.config import TrainingConfig

if TYPE_CHECKING:
    import torch

    from cotune.models import LanguageModel
    from cotune.training.methods import Attached, Method, Stage

_STATE_EVERY = 50
"""Steps between the states that a killed training goes on from."""


class WarmStart(Config):
    """One run on many tasks that every run of a study starts from."""

    steps: PositiveInt | None = None
    """Optimiser steps of that run."""
    share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Its length in the place of ``steps``: its part of all the steps that a task has been trained for when
    a run that measures affinity ends. At 0.5 a task has as many of it as the study's ``steps_per_task``."""
    learning_rate: PositiveFloat | None = None
    """Its peak learning rate; by default that of ``training``."""
    seed: NonNegativeInt = 0
    """Decides its fresh parameters and the order of its examples."""
    tasks: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The tasks it is trained on; by default all of the study. Named, they stay the same when tasks are
    added, so that the runs there are need not be done again."""

    @model_validator(mode="after")
    def _has_one_length(self) -> WarmStart:
        if (self.steps is None) == (self.share is None):
            raise ValueError("warm_start needs either steps or share.")
        return self

    def lasting(self, steps_per_task: int, tasks: int) -> WarmStart:
        """Return it with its length in steps, given a run's steps for each task, and its number of tasks."""
        assert self.share is not None
        steps = round(self.share / (1.0 - self.share) * steps_per_task * tasks)
        return self.model_copy(update={"steps": max(steps, 1), "share": None})

    @property
    def length(self) -> int:
        """Its steps.

        Raises
        ------
        InputError
            If they are a share of what only a study knows.
        """
        if self.steps is None:
            raise InputError(
                "learner.warm_start.share: needs an estimator that trains subsets of tasks, with whose "
                "steps_per_task it is counted; give warm_start.steps with this one."
            )
        return self.steps

    def training(self, training: TrainingConfig) -> TrainingConfig:
        """Return the recipe, given that of the runs."""
        if self.learning_rate is None:
            return training
        return training.model_copy(update={"learning_rate": self.learning_rate})

    def chosen(self, tasks: Sequence[Task]) -> list[Task]:
        """Return the tasks it is trained on, sorted by name.

        Raises
        ------
        InputError
            If one that it names is not there.
        """
        by_name = {task.name: task for task in tasks}
        for name in self.tasks or ():
            if name not in by_name:
                raise InputError(
                    f"The warm start names the task {name!r}, which is none of the study's: "
                    f"{', '.join(by_name)}."
                )
        return [by_name[name] for name in sorted(set(self.tasks or by_name))]


class _KeepLast:
    """Rates checkpoints by their place, so that the last is the best."""

    def checkpoint(self, attached: Attached, stage: Stage, step: int) -> float:
        return float(step)


def train_start(
    model: LanguageModel,
    method: Method,
    tasks: Sequence[Task],
    training: TrainingConfig,
    warm: WarmStart,
    state: Path | None,
    base: Path = Path(),
) -> dict[str, torch.Tensor]:
    """Train the parameters that runs start from; on one thread of one machine the same every time.

    Parameters
    ----------
    model : LanguageModel
        The base; as before when this returns.
    method : Method
        What is trained.
    tasks : sequence of Task
        From :meth:`WarmStart.chosen`.
    training : TrainingConfig
        The recipe of the runs.
    warm : WarmStart
        How long, and what differs in the recipe.
    state : Path or None
        A folder to go on from where an earlier call was killed.
    base : Path
        Folder that relative paths of text to replay start from.

    Returns
    -------
    dict of str to Tensor
        As :func:`values_of` gives them.
    """
    from cotune.training._branch_point import values_of
    from cotune.training.tuning import TuningConfig, tune

    config = TuningConfig(steps=warm.length, checkpoint_every=_STATE_EVERY, training=warm.training(training))
    try:
        run = tune(model, method, tasks, config, seed=warm.seed, watch=_KeepLast(), state=state, base=base)
        with run as tuned:
            return values_of(tuned.attached)
    except RunError as error:
        raise RunError(f"The warm start: {error}") from error


def stored_start(path: Path, train: Callable[[Path], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Load what was stored at a path, or train it, with a folder for its state, and store it there.

    What is damaged is trained again.
    """
    from safetensors.torch import load_file, save_file

    state = path.with_suffix(".state")
    if path.exists() and not file_damage(path):
        shutil.rmtree(state, ignore_errors=True)  # of one who was killed before it could
        return dict(load_file(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    values = train(state)
    with sealed_file(path) as fresh:
        save_file(values, fresh)
    shutil.rmtree(state, ignore_errors=True)
    return values
