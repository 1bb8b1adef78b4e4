"""What a transfer study runs: instruction tunings, and measurements of what they leave behind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from cotune._config import parse
from cotune.answering import scored_fingerprint
from cotune.evaluation.transfer import draw_trials
from cotune.exceptions import InputError
from cotune.models import Encoded
from cotune.studies.engine import ModelStudy, Prompting, choose, key_of
from cotune.studies.transfer._groups import groups_of
from cotune.studies.transfer.config import Arm, TransferStudyConfig
from cotune.tasks import Task
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Method
from cotune.training.tuning import TuningConfig

_FORMAT = 1
"""Raised whenever the same study would give other results, so that no stored run is mistaken."""

PRETRAINED = ""
"""The ``source`` of measurements of the pretrained model."""


@dataclass(frozen=True, slots=True)
class InstructRun:
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


@dataclass(frozen=True, slots=True)
class MarkedRun:
    """Fine-tune a checkpoint on a held-out task that is marked in another way than the study's first.

    Parameters
    ----------
    source, step, task, examples
        As of a :class:`MeasureRun`.
    marking : str
        How the task is marked.
    """

    kind: ClassVar[str] = "marked"
    source: str
    step: int
    task: str
    examples: tuple[int, ...]
    marking: str

    @property
    def size(self) -> int:
        """Its numbers of examples."""
        return len(self.examples)


TransferStudyRun = InstructRun | MeasureRun | MarkedRun


@dataclass(frozen=True)
class ArmCell:
    """A place in the comparison: an arm, by label; a seed; a group of tasks where it has several models."""

    arm: str
    seed: int
    group: str = ""


def plan_cells(
    config: TransferStudyConfig, groups: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[ArmCell, InstructRun]:
    """Lay out the comparison.

    Parameters
    ----------
    config : TransferStudyConfig
        The study's.
    groups : mapping
        By label of the arm, by name of the group (empty where there is one model) the training tasks.
    """
    return {
        ArmCell(arm.label, seed, group): _tune_run(
            arm, tuple(tasks), seed, config.steps // len(groups[arm.label])
        )
        for arm in config.compared
        for seed in range(config.seed, config.seed + config.seeds)
        for group, tasks in groups[arm.label].items()
    }


def _tune_run(arm: Arm, tasks: tuple[str, ...], seed: int, steps: int) -> InstructRun:
    name = METHODS.name_of(arm.method)
    options = json.dumps(arm.method.plain(), sort_keys=True)
    training = json.dumps(arm.training.plain(), sort_keys=True)
    return InstructRun(name, options, training, tasks, seed, max(steps, 1))


def method_of(run: InstructRun) -> Method:
    """Return what a run trains."""
    return parse(METHODS[run.method], json.loads(run.options), run.method)


def tuning(run: InstructRun, config: TransferStudyConfig) -> tuple[Method, TuningConfig]:
    """Return the method and the recipe of a run."""
    training = parse(TrainingConfig, json.loads(run.training), "training")
    due = tuple(sorted({*due_of(run, config), *gradients_due(run, config)}))
    recipe = TuningConfig(steps=run.steps, checkpoint_every=run.steps, checkpoints=due, training=training)
    return method_of(run), recipe


def due_of(run: InstructRun, config: TransferStudyConfig) -> tuple[int, ...]:
    """Return the steps after which a run is measured: those of the study, and its last."""
    return tuple(sorted({*(step for step in config.due if step < run.steps), run.steps}))


def gradients_due(run: InstructRun, config: TransferStudyConfig) -> tuple[int, ...]:
    """Return the steps after which gradients are compared, as far as a run goes."""
    return tuple(sorted({step for step in config.gradient_steps if step <= run.steps}))


def measurements(
    run: InstructRun, key: str, config: TransferStudyConfig, tasks: Sequence[str]
) -> list[MeasureRun | MarkedRun]:
    """Return the measurements of a run's checkpoints; under further markings of the last alone."""
    numbers = config.transfer.examples
    return [
        *(
            MeasureRun(key, step, task, numbers if step == run.steps else config.numbers)
            for step in due_of(run, config)
            for task in tasks
        ),
        *_marked(key, run.steps, config, tasks),
    ]


def _marked(key: str, step: int, config: TransferStudyConfig, tasks: Sequence[str]) -> Iterator[MarkedRun]:
    for marking in config.further_markings:
        for task in tasks:
            yield MarkedRun(key, step, task, config.transfer.examples, marking)


@dataclass(frozen=True)
class TransferDesign(ModelStudy[TransferStudyConfig, TransferStudyRun]):
    """The tasks of a transfer study by their part in it, its runs and their keys."""

    @cached_property
    def held_out(self) -> tuple[Task, ...]:
        """The tasks that are transferred to.

        Raises
        ------
        InputError
            If a name or pattern fits no task.
        """
        return self._chosen(self.config.held_out, "held_out", ())

    @cached_property
    def train(self) -> tuple[Task, ...]:
        """The tasks that models are instruction-tuned on; no held-out task is among them.

        Raises
        ------
        InputError
            If a name or pattern fits no task, or none is left.
        """
        chosen = self._chosen(self.config.train, "train", {task.name for task in self.held_out})
        if not chosen:
            raise InputError(f"{self.path}: train: no task is left to train on beside those held out.")
        return chosen

    def _chosen(self, patterns: Sequence[str], key: str, without: Iterable[str]) -> tuple[Task, ...]:
        names = choose(patterns, [task.name for task in self.tasks], f"{self.path}: {key}")
        return tuple(task for task in self.tasks if task.name in names and task.name not in set(without))

    @cached_property
    def cells(self) -> dict[ArmCell, InstructRun]:
        """The comparison: a tuning for every arm, seed and group."""
        names = [task.name for task in self.train]
        where = str(self.path)
        groups = {arm.label: groups_of(arm, names, self.base, where) for arm in self.config.compared}
        return plan_cells(self.config, groups)

    @cached_property
    def tunings(self) -> dict[str, InstructRun]:
        """All tunings by key."""
        return {key: run for run, key in self._tuning_keys.items()}

    @property
    def pretrained(self) -> list[MeasureRun | MarkedRun]:
        """The measurements of the model before any tuning."""
        examples, names = self.config.transfer.examples, [task.name for task in self.held_out]
        measured = (MeasureRun(PRETRAINED, 0, name, examples) for name in names)
        return [*measured, *_marked(PRETRAINED, 0, self.config, names)]

    def measurements(self, run: InstructRun) -> list[MeasureRun | MarkedRun]:
        """Return the measurements of a tuning's checkpoints."""
        return measurements(run, self.key(run), self.config, [task.name for task in self.held_out])

    @property
    def runs(self) -> dict[str, list[TransferStudyRun]]:
        """All runs, by stage."""
        tunings = list(self.tunings.values())
        return {
            "pretrained": list(self.pretrained),
            "tuning": list(tunings),
            "measuring": [run for tuning in tunings for run in self.measurements(tuning)],
        }

    @property
    def prompting(self) -> Prompting:
        """How training tasks are trained, and held-out ones asked and fine-tuned on."""
        methods = [arm.method for arm in self.config.compared]
        return Prompting(
            model=self.config.model,
            encoder=self.encoder,
            in_context=self.config.in_context,
            methods={task.name: methods for task in self.train},
            shots={task.name: self.config.in_context.shots for task in self.held_out},
            seed=self.config.seed,
            further=self._fine_tuned,
        )

    def _fine_tuned(self, task: Task) -> Iterator[tuple[str, Encoded]]:
        """Return a prompt of the fine-tunings on a held-out task."""
        config = self.config
        if task not in self.held_out:
            return
        for marking in config.markings:
            trial = next(draw_trials(task, config.marked(marking), config.in_context, seed=config.seed))
            title = f"fine-tuned on, marked by its {marking}"
            yield f"{title}, 1 of {len(trial.examples)}", trial.encoded(self.encoder)[0]

    def key(self, run: TransferStudyRun) -> str:
        """Hash model, tasks, questions and recipe with the run's fields."""
        if isinstance(run, InstructRun):
            return self._tuning_keys[run]
        return key_of(
            run,
            **self._questions(run.marking if isinstance(run, MarkedRun) else self.config.transfer.marking),
            fingerprint=scored_fingerprint(self._by_name[run.task], self.config.in_context),
        )

    @cached_property
    def _tuning_keys(self) -> dict[InstructRun, str]:
        return {run: self._tuning_key(run) for run in self.cells.values()}

    def _tuning_key(self, run: InstructRun) -> str:
        config, replay = self.config, tuning(run, self.config)[1].training.replay
        steps = gradients_due(run, config)
        gradients = {"steps": steps, "examples": config.gradient_examples, "seed": config.seed}
        return key_of(
            run,
            format=_FORMAT,
            model=self.model_fingerprint,
            text=None if replay is None else replay.fingerprint(self.base),
            fingerprints=[self._by_name[name].fingerprint for name in run.tasks],
            due=config.due,
            seen_examples=config.seen_examples,
            **({"gradients": gradients} if steps else {}),
        )

    @cached_property
    def _by_name(self) -> dict[str, Task]:
        return {task.name: task for task in self.tasks}

    def _questions(self, marking: str) -> dict[str, Any]:
        """All that the measurement of any model depends on."""
        config = self.config
        asked, transfer = config.in_context.plain(), config.marked(marking).plain()
        del asked["batch_tokens"], transfer["examples"], transfer["method"]["name"]
        most = config.transfer.most  # decides which examples are exemplars
        return {
            "format": _FORMAT,
            "model": self.model_fingerprint,
            "questions": {"in_context": asked, "transfer": transfer, "most": most, "seed": config.seed},
            "method": config.transfer.method.kind,
        }
