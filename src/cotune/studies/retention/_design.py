"""What a retention study runs: the pretrained model, and every method, learning rate and seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from cotune._config import did_you_mean, parse
from cotune.answering import scored_fingerprint
from cotune.exceptions import InputError
from cotune.studies.engine import ModelStudy, Prompting, choose, key_of
from cotune.studies.retention.config import MethodArm, RetentionConfig
from cotune.tasks import Task
from cotune.training.methods import METHODS, Method, Stage
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


_FORMAT = 2
"""Raised whenever the same study would give other results, so that no stored run is mistaken."""

CHOSEN = "the best of a stage after a step"
"""What stands in the keys of runs of several stages; those of one stage are measured as ever."""


def chosen(stages: Sequence[Stage]) -> dict[str, str]:
    """Return what keys say of how checkpoints of earlier stages are chosen."""
    seen = " by the tasks seen so far" if any(stage.tasks for stage in stages) else ""
    return {"chosen": CHOSEN + seen} if len(stages) > 1 else {}


RetentionStudyRun = PretrainedRun | TuneRun


@dataclass(frozen=True)
class RateCell:
    """A place in the comparison: an arm at one of the learning rates tried, with a seed."""

    arm: MethodArm
    learning_rate: float
    seed: int


def plan_cells(config: RetentionConfig, tasks: tuple[str, ...]) -> dict[RateCell, TuneRun]:
    """Lay out the comparison.

    A method with a learning rate of its own in the last stage, such as prompt tuning, has one run for all the
    learning rates tried.
    """
    return {
        RateCell(arm, rate, seed): tune_run(arm, rate, seed, config, tasks)
        for arm in config.methods
        for rate in config.rates
        for seed in range(config.seed, config.seed + config.seeds)
    }


def tune_run(
    arm: MethodArm, rate: float, seed: int, config: RetentionConfig, tasks: tuple[str, ...]
) -> TuneRun:
    """Return the run of an arm."""
    recipe = tuning_config(config, rate)
    method = arm.method.on_targets(len(tasks), recipe.steps)
    stages = method.stages(recipe.steps, recipe.training, tasks)
    options = json.dumps(method.plain(), sort_keys=True)
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


_OF_METRICS = {
    "bleu": "translation",
    "chrf": "translation",
    "rouge_1": "summarisation",
    "rouge_2": "summarisation",
    "rouge_l": "summarisation",
}


def type_of(task: Task) -> str:
    """Return what a task asks for: one of a closed set, or what its metric is for."""
    if all(example.choices for example in task["test"] or task["train"]):
        return "classification"
    return _OF_METRICS.get(task.metric, "short answers")


@dataclass(frozen=True)
class RetentionDesign(ModelStudy[RetentionConfig, RetentionStudyRun]):
    """The tasks of a retention study by their part in it, its runs and their keys."""

    @cached_property
    def targets(self) -> tuple[Task, ...]:
        """The tasks tuned on.

        Raises
        ------
        InputError
            If a target is not among the tasks read.
        """
        by_name = {task.name: task for task in self.tasks}
        for name in self.config.targets:
            if name not in by_name:
                near = did_you_mean(name, by_name)
                raise InputError(f"{self.path}: targets: there is no task '{name}' among those read{near}.")
        return tuple(by_name[name] for name in self.config.targets)

    @cached_property
    def evaluation(self) -> tuple[Task, ...]:
        """The tasks only evaluated on, in context.

        Raises
        ------
        InputError
            If a name or pattern fits no task, or none is left beside the targets.
        """
        names = choose(self.config.evaluation, [task.name for task in self.tasks], f"{self.path}: evaluation")
        chosen = tuple(
            task for task in self.tasks if task.name in names and task.name not in self.config.targets
        )
        if not chosen:
            raise InputError(
                f"{self.path}: evaluation: no task is left to evaluate beside the targets; read more."
            )
        return chosen

    @cached_property
    def others(self) -> tuple[Task, ...]:
        """The tasks whose training examples methods may put beside those of the targets: all but these."""
        return tuple(task for task in self.tasks if task.name not in self.config.targets)

    @cached_property
    def types(self) -> dict[str, str]:
        """By evaluation task what it asks for.

        Raises
        ------
        InputError
            If a pattern of a type fits no task, or two types the same.
        """
        names = [task.name for task in self.evaluation]
        given: dict[str, str] = {}
        for kind, patterns in self.config.types.items():
            for name in choose(patterns, names, f"{self.path}: types.{kind}"):
                if name in given:
                    raise InputError(
                        f"{self.path}: types: task {name!r} is of two types, {given[name]} and {kind}; give "
                        "it one."
                    )
                given[name] = kind
        return {task.name: given.get(task.name) or type_of(task) for task in self.evaluation}

    @cached_property
    def cells(self) -> dict[RateCell, TuneRun]:
        """The comparison: a run for every method, learning rate and seed."""
        return plan_cells(self.config, self.config.targets)

    @property
    def runs(self) -> dict[str, list[RetentionStudyRun]]:
        """All runs, by stage."""
        return {"pretrained": [PretrainedRun()], "tuning": list(dict.fromkeys(self.cells.values()))}

    @property
    def prompting(self) -> Prompting:
        """How targets are trained, and the other tasks asked."""
        methods = [arm.method for arm in self.config.methods]
        return Prompting(
            model=self.config.model,
            encoder=self.encoder,
            in_context=self.config.in_context,
            methods={task.name: methods for task in self.targets},
            shots={task.name: self.config.in_context.shots for task in self.evaluation},
            seed=self.config.seed,
        )

    @cached_property
    def doubled(self) -> tuple[str, ...]:
        """A sentence for every method whose prompts are trained for twice as long."""
        n, steps = len(self.targets), self.config.steps
        found = []
        for arm in self.config.methods:
            once, now = (
                method.stages(steps, self.config.training, self.config.targets)[0].steps
                for method in (arm.method, arm.method.on_targets(n, steps))
            )
            if now != once:
                found.append(
                    f"{arm.label}: the stage of its prompts takes {now:,} steps, twice {once:,}, since those "
                    f"of {n} targets are trained together (paper, appendix A.2)."
                )
        return tuple(found)

    def key(self, run: RetentionStudyRun) -> str:
        """Hash model, tasks, questions and recipe with the run's fields."""
        config = self.config
        if not isinstance(run, TuneRun):
            return key_of(run, **self._questions)
        gradients = {"steps": config.gradient_steps, "examples": config.gradient_examples}
        method, recipe = tuning(run, config)
        stages = method.stages(recipe.steps, recipe.training, config.targets)
        return key_of(
            run,
            **self._questions,
            tuning=recipe.plain(),
            gradients=gradients if config.gradient_steps else None,
            **self._text,
            **self._beside(stages),
            # What a stage begins with is what was chosen of the one before it.
            **chosen(stages),
        )

    def _beside(self, stages: Sequence[Stage]) -> dict[str, Any]:
        """Hash what a method puts beside the targets, where the questions and the recipe do not."""
        asked = {task.name for task in self.evaluation}
        replays = {replay for stage in stages if (replay := stage.training.replay) is not None}
        texts = [r.fingerprint(self.base) for r in replays if r != self.config.training.replay]
        tasks = {
            task.name: task.fingerprint
            for replay in replays
            for task in self.others
            if task.name not in asked and replay.fits(task.name)
        }
        own = {"texts": sorted(filter(None, texts)), "tasks": tasks}
        return {"beside": own} if any(own.values()) else {}

    @cached_property
    def _text(self) -> dict[str, str]:
        """The hash of the text replayed, where there is one."""
        replay = self.config.training.replay
        text = None if replay is None else replay.fingerprint(self.base)
        return {} if text is None else {"text": text}

    @cached_property
    def _questions(self) -> dict[str, Any]:
        """All that the measurement of any model depends on."""
        asked = self.config.in_context.plain()
        del asked["batch_tokens"]
        return {
            "format": _FORMAT,
            "model": self.model_fingerprint,
            "questions": {"in_context": asked, "seed": self.config.seed},
            "targets": self._fingerprints(self.targets),
            "evaluation": self._fingerprints(self.evaluation),
        }

    @property
    def stages(self) -> Path:
        """Folder of the stages that several runs have in common, as long as the same is asked of them."""
        content = json.dumps(self._questions, sort_keys=True)
        return self.shared / "stages" / hashlib.sha256(content.encode()).hexdigest()

    def _fingerprints(self, tasks: Sequence[Task]) -> dict[str, str]:
        return {task.name: scored_fingerprint(task, self.config.in_context) for task in tasks}
