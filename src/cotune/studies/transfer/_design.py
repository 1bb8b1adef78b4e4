"""The runs of a transfer study: instruction tunings, and measurements of what they leave behind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cotune._config import parse
from cotune.studies.transfer.config import Arm, TransferStudyConfig
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Method
from cotune.training.tuning import TuningConfig

PRETRAINED = ""
"""The ``source`` of measurements of the pretrained model."""


@dataclass(frozen=True, slots=True)
class TuneRun:
    """Instruction-tune the model on a mixture of tasks; leaves its checkpoints.

    Parameters
    ----------
    method : str
        A key of METHODS.
    options, training : str
        The method's options and the recipe as JSON.
    tasks : tuple of str
        Names of the tasks.
    seed : int
        Of fresh parameters and batches.
    steps : int
        Optimiser steps of the last stage.
    """

    kind: ClassVar[str] = "instruct"
    method: str
    options: str
    training: str
    tasks: tuple[str, ...]
    seed: int
    steps: int

    @property
    def size(self) -> int:
        """Its steps."""
        return self.steps


@dataclass(frozen=True, slots=True)
class MeasureRun:
    """Measure a checkpoint on a held-out task, by fine-tuning and in context.

    Parameters
    ----------
    source : str
        Key of the tuning it comes from, :data:`PRETRAINED` for none.
    step : int
        Steps of the last stage that were done.
    task : str
        Name of the task.
    examples : tuple of int
        Numbers of examples fine-tuned on.
    """

    kind: ClassVar[str] = "measure"
    source: str
    step: int
    task: str
    examples: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its numbers of examples."""
        return len(self.examples)


AnyRun = TuneRun | MeasureRun


@dataclass(frozen=True)
class Cell:
    """A place in the comparison: an arm, by label; a seed; a group of tasks where it has several models."""

    arm: str
    seed: int
    group: str = ""


def plan_cells(
    config: TransferStudyConfig, groups: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[Cell, TuneRun]:
    """Lay out the comparison.

    Parameters
    ----------
    config : TransferStudyConfig
        The study's.
    groups : mapping
        By label of the arm, by name of the group (empty where there is one model) the training tasks.
    """
    return {
        Cell(arm.label, seed, group): _tune_run(
            arm, tuple(tasks), seed, config.steps // len(groups[arm.label])
        )
        for arm in config.compared
        for seed in range(config.seed, config.seed + config.seeds)
        for group, tasks in groups[arm.label].items()
    }


def _tune_run(arm: Arm, tasks: tuple[str, ...], seed: int, steps: int) -> TuneRun:
    name = METHODS.name_of(arm.method)
    options = json.dumps(arm.method.plain(), sort_keys=True)
    training = json.dumps(arm.training.plain(), sort_keys=True)
    return TuneRun(name, options, training, tasks, seed, max(steps, 1))


def method_of(run: TuneRun) -> Method:
    """Return what a run trains."""
    return parse(METHODS[run.method], json.loads(run.options), run.method)


def tuning(run: TuneRun, config: TransferStudyConfig) -> tuple[Method, TuningConfig]:
    """Return the method and the recipe of a run."""
    training = parse(TrainingConfig, json.loads(run.training), "training")
    due = due_of(run, config)
    recipe = TuningConfig(steps=run.steps, checkpoint_every=run.steps, checkpoints=due, training=training)
    return method_of(run), recipe


def due_of(run: TuneRun, config: TransferStudyConfig) -> tuple[int, ...]:
    """Return the steps after which a run is measured: those of the study, and its last."""
    return tuple(sorted({*(step for step in config.due if step < run.steps), run.steps}))


def measurements(
    run: TuneRun, key: str, config: TransferStudyConfig, tasks: Sequence[str]
) -> list[MeasureRun]:
    """Return the measurements of a run's checkpoints."""
    return [
        MeasureRun(key, step, task, config.transfer.examples if step == run.steps else config.numbers)
        for step in due_of(run, config)
        for task in tasks
    ]
