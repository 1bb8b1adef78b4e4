"""The process that tunes and measures."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cotune.evaluation.transfer import Measured, Questions, TransferEvaluation, checkpoint_as_base
from cotune.exceptions import RunError
from cotune.studies.engine import Job, Worker, write_artefact_record
from cotune.studies.transfer._checkpoints import Checkpoints, CheckpointWatcher, Gradients
from cotune.studies.transfer._design import (
    PRETRAINED,
    InstructRun,
    MarkedRun,
    MeasureRun,
    TransferStudyRun,
    due_of,
    gradients_due,
    method_of,
    tuning,
)
from cotune.studies.transfer.config import TransferStudyConfig
from cotune.tasks import Task
from cotune.training.encoded_tasks import EncodedTasks


@dataclass(kw_only=True)
class TransferWorker(Worker[TransferStudyRun]):
    """Tunes and measures one model, loaded once; every job leaves it as it was.

    Parameters
    ----------
    config : TransferStudyConfig
        The study's configuration.
    tasks : mapping of str to Task
        Training and held-out tasks by name.
    tunings : mapping of str to InstructRun
        By key, the tunings whose checkpoints are measured.
    base : Path
        Folder that relative paths start from.
    states, checkpoints : Path
        Folders for the states of tunings in flight, and for what tunings leave; by key.
    """

    config: TransferStudyConfig
    tasks: Mapping[str, Task]
    tunings: Mapping[str, InstructRun]
    base: Path
    states: Path
    checkpoints: Path
    _transfers: dict[tuple[tuple[str, ...], str], TransferEvaluation] = field(
        default_factory=dict, init=False
    )
    _questions: dict[tuple[str, ...], Questions] = field(default_factory=dict, init=False)

    def start(self) -> None:
        """Load the model, and what puts adapters on it, so that no run is told to have taken that."""
        importlib.import_module("peft")
        self.model = self.config.load(self.base)

    def folders(self, job: Job[TransferStudyRun] | None) -> Sequence[Path]:
        """Return the folder of the checkpoints that a job leaves, or measures."""
        if job is None:
            return ()
        first = job.runs[0]
        key = job.keys[0] if isinstance(first, InstructRun) else first.source
        return () if key == PRETRAINED else (self.checkpoints / key,)

    def scratch(self) -> Sequence[Path]:
        """Return the folder of the states of tunings."""
        return (self.states,)

    def outcomes(self, job: Job[TransferStudyRun]) -> Sequence[Mapping[str, Any]]:
        """Tune the model, or measure one checkpoint on some tasks."""
        first = job.runs[0]
        if isinstance(first, InstructRun):
            return [self._tune(first, job.keys[0])]
        return self._measure(first, [run.task for run in job.runs if not isinstance(run, InstructRun)])

    def _tune(self, run: InstructRun, key: str) -> dict[str, Any]:
        from cotune.training.tuning import tune

        config = self.config
        method, recipe = tuning(run, config)
        tasks = [self.tasks[name] for name in run.tasks]
        data = EncodedTasks(tasks, lambda: self.model.encoder, demonstrations=method.demonstrations)
        left = Checkpoints(self.checkpoints / key)
        last = method.stages(run.steps, recipe.training, run.tasks)[-1].name
        gradients = Gradients(gradients_due(run, config), config.gradient_examples, config.seed)
        watcher = CheckpointWatcher(
            self.model, data, config.seen_examples, last, left, due=due_of(run, config), gradients=gradients
        )
        state = self.states / key
        try:
            with tune(
                self.model, method, tasks, recipe, seed=run.seed, watch=watcher, state=state, base=self.base
            ) as tuned:
                log = tuned.logs[last]
        except RunError as error:
            place = f"{run.method} on {len(run.tasks)} tasks with seed {run.seed}"
            raise RunError(f"Instruction tuning by {place}: {error}") from error
        write_artefact_record(left.folder, {"run": key})
        payload = {
            "seen": {step: left.seen(step) for step in (0, *due_of(run, config))},
            "gradients": {step: left.gradients(step) for step in gradients.steps},
            "instructions": log.examples_seen,
            "windows": log.windows_seen,
            "replay_losses": log.replay_losses,
        }
        return {"payload": payload, "losses": log.losses, "tokens": tuned.tokens}

    def _measure(self, run: MeasureRun | MarkedRun, names: Sequence[str]) -> list[dict[str, Any]]:
        marked = isinstance(run, MarkedRun)
        marking = run.marking if isinstance(run, MarkedRun) else self.config.transfer.marking
        with self._at(run):
            transfer = self._transfer(tuple(names), marking).run(self.model, run.examples)
            # In context a task is never marked, so that there is nothing more to ask under another marking.
            in_context = [] if marked else self._asked(tuple(names)).run(self.model, self.model.base)
        return [
            {"payload": {"transfer": _of(name, transfer), "in_context": _of(name, in_context)}}
            for name in names
        ]

    @contextmanager
    def _at(self, run: MeasureRun | MarkedRun) -> Iterator[None]:
        """Put the checkpoint in the place of the base."""
        if run.source == PRETRAINED:
            yield
            return
        tuned = self.tunings[run.source]
        parts = Checkpoints(self.checkpoints / run.source).load(run.step)
        with checkpoint_as_base(self.model, method_of(tuned), tuned.tasks, parts):
            yield

    def _transfer(self, names: tuple[str, ...], marking: str) -> TransferEvaluation:
        if (names, marking) not in self._transfers:
            config = self.config
            self._transfers[names, marking] = TransferEvaluation(
                [self.tasks[name] for name in names],
                config.marked(marking),
                config.in_context,
                self.model.encoder,
                seed=config.seed,
                context=self.model.context,
            )
        return self._transfers[names, marking]

    def _asked(self, names: tuple[str, ...]) -> Questions:
        if names not in self._questions:
            config = self.config
            self._questions[names] = Questions(
                [self.tasks[name] for name in names],
                config.in_context,
                self.model.encoder,
                seed=config.seed,
                context=self.model.context,
            )
        return self._questions[names]


def _of(task: str, measured: Sequence[Measured]) -> list[list[float]]:
    """Return examples, draw, score and loss of all measurements of a task."""
    return [[m.examples, m.draw, m.score, m.loss] for m in measured if m.task == task]
