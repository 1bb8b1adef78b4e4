from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from cotune.answering import check_in_context, merge_notes, scored_fingerprint
from cotune.evaluation.transfer import check_transfer
from cotune.exceptions import InputError
from cotune.studies.engine._events import Events
from cotune.studies.engine._model_study import ModelStudy, choose
from cotune.studies.engine._plan import Plan
from cotune.studies.engine._runs import key_of
from cotune.studies.engine._status import Status, stored_status
from cotune.studies.transfer._design import (
    PRETRAINED,
    AnyRun,
    Cell,
    MeasureRun,
    TuneRun,
    measurements,
    plan_cells,
    tuning,
)
from cotune.studies.transfer._groups import groups_of
from cotune.studies.transfer._pipeline import collect_transfer, run_transfer
from cotune.studies.transfer._plan import plan_transfer
from cotune.studies.transfer._result import TransferResult
from cotune.studies.transfer._worker import TransferSetup
from cotune.studies.transfer.config import TransferStudyConfig
from cotune.tasks import Task
from cotune.training.encoded_tasks import EncodedTasks

_FORMAT = 1
"""Raised whenever the same study would give other results, so that no stored run is mistaken."""


@dataclass(frozen=True)
class TransferStudy(ModelStudy[TransferStudyConfig, AnyRun]):
    """What instruction tuning does to learning new tasks, by fine-tuning and in context."""

    config_class: ClassVar[type[TransferStudyConfig]] = TransferStudyConfig

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
    def cells(self) -> dict[Cell, TuneRun]:
        """The comparison: a tuning for every arm, seed and group."""
        names = [task.name for task in self.train]
        where = str(self.path)
        groups = {arm.label: groups_of(arm, names, self.base, where) for arm in self.config.compared}
        return plan_cells(self.config, groups)

    @cached_property
    def tunings(self) -> dict[str, TuneRun]:
        """All tunings by key."""
        return {key: run for run, key in self._tuning_keys.items()}

    @property
    def pretrained(self) -> list[MeasureRun]:
        """The measurements of the model before any tuning."""
        examples = self.config.transfer.examples
        return [MeasureRun(PRETRAINED, 0, task.name, examples) for task in self.held_out]

    def measurements(self, run: TuneRun) -> list[MeasureRun]:
        """Return the measurements of a tuning's checkpoints."""
        return measurements(run, self.key(run), self.config, [task.name for task in self.held_out])

    def check(self) -> dict[str, tuple[str, ...]]:
        """Check tasks, mixtures and numbers; return by task what was cut or dropped."""
        config, encoder = self.config, self.encoder
        check_transfer(self.held_out, config.transfer, config.in_context, encoder, seed=config.seed)
        found = check_in_context(self.held_out, config.in_context, encoder, seeds=(config.seed,))
        trained = {name for run in self.tunings.values() for name in run.tasks}
        cut: dict[str, tuple[str, ...]] = {}
        for demonstrations in sorted({arm.method.demonstrations for arm in config.compared}):
            data = EncodedTasks(self.train, lambda: encoder, demonstrations=demonstrations)
            cut = data.check()
        told = (*(task for task in self.train if task.name in trained), *self.held_out)
        notes = merge_notes({task.name: task.notes for task in told}, found)
        return merge_notes(notes, {name: of_task for name, of_task in cut.items() if name in notes})

    def run(self, events: Events, *, retry_failed: bool = False) -> TransferResult:
        """Do what the study still lacks and write its results."""
        return run_transfer(self, events, retry_failed=retry_failed)

    def collect(self) -> TransferResult:
        """Put together what the store holds, running nothing."""
        return collect_transfer(self)

    def plan(self, *, measure: bool = True) -> Plan:
        """Tell what the study will cost."""
        return plan_transfer(self, measure=measure)

    def status(self) -> Status:
        """Look up what is done."""
        return stored_status(self, self.wanted)

    @property
    def wanted(self) -> dict[str, list[AnyRun]]:
        """All runs, by stage."""
        tunings = list(self.tunings.values())
        return {
            "pretrained": list(self.pretrained),
            "tuning": list(tunings),
            "measuring": [run for tuning in tunings for run in self.measurements(tuning)],
        }

    def key(self, run: AnyRun) -> str:
        """Hash model, tasks, questions and recipe with the run's fields."""
        if isinstance(run, TuneRun):
            return self._tuning_keys[run]
        return key_of(
            run,
            **self._questions,
            fingerprint=scored_fingerprint(self._by_name[run.task], self.config.in_context),
        )

    @cached_property
    def _tuning_keys(self) -> dict[TuneRun, str]:
        return {run: self._tuning_key(run) for run in self.cells.values()}

    def _tuning_key(self, run: TuneRun) -> str:
        config, replay = self.config, tuning(run, self.config)[1].training.replay
        return key_of(
            run,
            format=_FORMAT,
            model=self.model_fingerprint,
            text=None if replay is None else replay.text.fingerprint(self.base),
            fingerprints=[self._by_name[name].fingerprint for name in run.tasks],
            due=config.due,
            seen_examples=config.seen_examples,
        )

    @cached_property
    def _by_name(self) -> dict[str, Task]:
        return {task.name: task for task in self.tasks}

    @cached_property
    def _questions(self) -> dict[str, Any]:
        """All that the measurement of any model depends on."""
        config = self.config
        asked, transfer = config.in_context.plain(), config.transfer.plain()
        del asked["batch_tokens"], transfer["examples"], transfer["method"]["name"]
        most = config.transfer.most  # decides which examples are exemplars
        return {
            "format": _FORMAT,
            "model": self.model_fingerprint,
            "questions": {"in_context": asked, "transfer": transfer, "most": most, "seed": config.seed},
            "method": config.transfer.method.kind,
        }

    def batches(self, runs: Sequence[AnyRun]) -> list[Sequence[AnyRun]]:
        """Measure all tasks of a checkpoint together: their fine-tunings share a pass."""
        single: list[Sequence[AnyRun]] = [(run,) for run in runs if isinstance(run, TuneRun)]
        measured = [run for run in runs if isinstance(run, MeasureRun)]
        together = groupby(measured, lambda run: (run.source, run.step, run.examples))
        return [*single, *(tuple(of_checkpoint) for _, of_checkpoint in together)]

    def worker_setup(self) -> TransferSetup:
        """Return what a process needs to tune and measure."""
        return TransferSetup(
            config=self.config,
            tasks={task.name: task for task in (*self.train, *self.held_out)},
            tunings=self.tunings,
            base=self.base,
            states=self.states,
            checkpoints=self.checkpoints,
            threads=self.config.executor.threads,
        )

    @property
    def checkpoints(self) -> Path:
        """Folder of what tunings leave until all of it is measured, by key."""
        return self.shared / "checkpoints"
