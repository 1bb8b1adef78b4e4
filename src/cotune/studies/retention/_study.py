from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from cotune._config import did_you_mean
from cotune.answering import check_in_context, merge_notes, scored_fingerprint
from cotune.exceptions import InputError
from cotune.studies.engine._events import Events
from cotune.studies.engine._model_study import ModelStudy, choose
from cotune.studies.engine._plan import Plan
from cotune.studies.engine._runs import key_of
from cotune.studies.retention._design import AnyRun, Cell, TuneRun, plan_cells, tuning_config
from cotune.studies.retention._measure import label_set
from cotune.studies.retention._pipeline import collect_retention, run_retention
from cotune.studies.retention._plan import plan_retention
from cotune.studies.retention._result import RetentionResult
from cotune.studies.retention._selection import Selection
from cotune.studies.retention._status import RetentionStatus, retention_status
from cotune.studies.retention._worker import RetentionSetup
from cotune.studies.retention.config import RetentionConfig
from cotune.tasks import Task, get_metric
from cotune.training.encoded_tasks import EncodedTasks

_FORMAT = 2
"""Raised whenever the same study would give other results, so that no stored run is mistaken."""


@dataclass(frozen=True)
class RetentionStudy(ModelStudy[RetentionConfig, AnyRun]):
    """What tuning on targets leaves of a model's in-context learning, method by method."""

    config_class: ClassVar[type[RetentionConfig]] = RetentionConfig

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

    @property
    def selection(self) -> Selection:
        """How checkpoints are chosen."""
        return Selection(get_metric(self.targets[0].metric).higher_is_better)

    @cached_property
    def cells(self) -> dict[Cell, TuneRun]:
        """The comparison: a run for every method, learning rate and seed."""
        return plan_cells(self.config, self.config.targets)

    def check(self) -> dict[str, tuple[str, ...]]:
        """Check targets, other tasks and numbers; return by task what was cut or dropped."""
        self._check_targets()
        config, encoder = self.config, self.encoder
        notes = {task.name: task.notes for task in (*self.targets, *self.evaluation)}
        asked = [(self.evaluation, config.in_context)]
        for demonstrations in sorted({arm.method.demonstrations for arm in config.methods}):
            of_targets = EncodedTasks(self.targets, lambda: encoder, demonstrations=demonstrations)
            notes = merge_notes(notes, of_targets.check())
            for split in ("validation", "test"):
                asked.append((self.targets, config.in_context.on_trained(split, demonstrations)))
        found = (check_in_context(tasks, how, encoder, seeds=(config.seed,)) for tasks, how in asked)
        return merge_notes(notes, *found)

    def _check_targets(self) -> None:
        """Check that the targets can be averaged and reached, and their labels randomised."""
        config, metrics = self.config, [get_metric(task.metric) for task in self.targets]
        if len({metric.higher_is_better for metric in metrics}) > 1:
            names = ", ".join(f"{t.name} {m.name}" for t, m in zip(self.targets, metrics, strict=True))
            raise InputError(
                f"{self.path}: targets: their metrics must have one direction, got {names}; set the "
                "readers' metric."
            )
        if config.equal_target != "auto" and config.equal_target > 1 and metrics[0].needs == "text":
            raise InputError(
                f"{self.path}: equal_target: must be at most 1, the most that {metrics[0].name} gives, "
                f"got {config.equal_target:g}."
            )
        if config.gradient_steps and not label_set(self.targets):
            free = next(t.name for t in self.targets if not label_set([t]))
            raise InputError(
                f"{self.path}: gradient_steps: labels are randomised there, and the target {free} has none: "
                "give it choices or leave gradient_steps out."
            )

    def run(self, events: Events, *, retry_failed: bool = False) -> RetentionResult:
        """Do what the study still lacks and write its results."""
        return run_retention(self, events, retry_failed=retry_failed)

    def collect(self) -> RetentionResult:
        """Put together what the store holds, running nothing."""
        return collect_retention(self)

    def plan(self, *, measure: bool = True) -> Plan:
        """Tell what the study will cost."""
        return plan_retention(self, measure=measure)

    def status(self) -> RetentionStatus:
        """Look up what is done."""
        return retention_status(self)

    def key(self, run: AnyRun) -> str:
        """Hash model, tasks, questions and recipe with the run's fields."""
        config = self.config
        if not isinstance(run, TuneRun):
            return key_of(run, **self._questions)
        gradients = {"steps": config.gradient_steps, "examples": config.gradient_examples}
        return key_of(
            run,
            **self._questions,
            tuning=tuning_config(config, run.learning_rate).plain(),
            gradients=gradients if config.gradient_steps else None,
            **self._text,
        )

    @cached_property
    def _text(self) -> dict[str, str]:
        """The hash of the text replayed, where there is one."""
        replay = self.config.training.replay
        return {} if replay is None else {"text": replay.text.fingerprint(self.base)}

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

    def worker_setup(self) -> RetentionSetup:
        """Return what a process needs to tune and measure."""
        return RetentionSetup(
            config=self.config,
            targets=self.targets,
            evaluation=self.evaluation,
            base=self.base,
            states=self.states,
            stages=self.stages,
            threads=self.config.executor.threads,
        )

    @property
    def stages(self) -> Path:
        """Folder of the stages that several runs have in common, as long as the same is asked of them."""
        content = json.dumps(self._questions, sort_keys=True)
        return self.shared / "stages" / hashlib.sha256(content.encode()).hexdigest()

    def _fingerprints(self, tasks: Sequence[Task]) -> dict[str, str]:
        return {task.name: scored_fingerprint(task, self.config.in_context) for task in tasks}
