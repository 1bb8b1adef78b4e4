from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch

from cotune._seals import damage
from cotune.exceptions import RunError
from cotune.models import LanguageModel
from cotune.tasks import Task
from cotune.training._log import TrainingLog
from cotune.training._loop import TrainingRun
from cotune.training._mixing import MixingRun
from cotune.training.batches import TaskBatch
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.methods import Attached, Method, Stage
from cotune.training.stages import stage_run
from cotune.training.tuning._config import TuningConfig
from cotune.training.tuning._state import (
    StateFolder,
    load_tensors,
    random_state,
    save_tensors,
    set_random_state,
)
from cotune.training.tuning._types import Checkpoint, Tuned, Watcher

OnProgress: TypeAlias = Callable[[str, int, int, float], None]
"""What is called after every step: with the stage's name, steps done, steps of the stage, the loss."""

_FORMAT = 2
"""Raised whenever the same recipe would give other results, so that no old state is taken for a new one."""


@dataclass
class Tuner:
    """One run of :func:`cotune.training.tuning.tune`, with its arguments.

    Parameters
    ----------
    model, method, tasks, config, seed, watch, shared, progress, base, others
        As in :func:`tune`.
    attached : Attached
        The model with the method's fresh parameters on it.
    """

    model: LanguageModel
    method: Method
    attached: Attached
    tasks: Sequence[Task]
    config: TuningConfig
    seed: int
    watch: Watcher
    shared: Path | None
    progress: OnProgress | None
    base: Path = Path()
    others: Sequence[Task] = ()
    memory: dict[str, Any] = field(default_factory=dict)
    _checkpoints: list[Checkpoint] = field(default_factory=list, init=False)
    _best: dict[str, Checkpoint] = field(default_factory=dict, init=False)
    _best_values: list[torch.Tensor] = field(default_factory=list, init=False)
    _logs: dict[str, TrainingLog] = field(default_factory=dict, init=False)
    _reused: list[str] = field(default_factory=list, init=False)
    _folder: StateFolder | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._names = tuple(task.name for task in self.tasks)
        self._stages = self.method.stages(self.config.steps, self.config.training, self._names)
        demonstrations = self.method.demonstrations
        self._data = EncodedTasks(
            self.tasks,
            lambda: self.model.encoder,
            demonstrations=demonstrations,
            base=self.base,
            others=self.others,
        )
        facts = {
            "format": _FORMAT,
            "method": {"name": self.method.kind, **self.method.plain()},
            "checkpoints": [self.config.checkpoint_every, *self.config.checkpoints],
            "seed": self.seed,
            "tasks": [task.fingerprint for task in self.tasks],
        }
        plain = [stage.content(self.base) for stage in self._stages]
        done = [plain[: at + 1] for at in range(len(plain))]
        self._keys = [_digest({**facts, "stages": stages}) for stages in done]

    def run(self, state_folder: Path | None) -> None:
        """Do all stages, from where the state in the folder says; without one, from the start."""
        for stage in self._stages:
            next(self._batches(stage, 0))  # what does not fit is known before anything is trained
        state = None
        if state_folder is not None:
            # The last stage's key covers all stages.
            self._folder = StateFolder(state_folder, self._keys[-1])
            state = self._folder.load()
        first = 0 if state is None else self._restore(state)
        for index in range(first, len(self._stages)):
            try:
                self._do(index, None if index > first else state)
            except RunError as error:
                raise RunError(f"Stage {self._stages[index].name}: {error}") from error

    def tuned(self) -> Tuned:
        """Return what came out."""
        return Tuned(
            self.attached,
            tuple(self._checkpoints),
            dict(self._best),
            dict(self._logs),
            tuple(self._reused),
            tuple(self._notes()),
        )

    def _do(self, index: int, state: Mapping[str, Any] | None) -> None:
        """Do a stage, or what is left of it, and restore its best checkpoint."""
        stage = self._stages[index]
        if state is None and self._reuse(index):
            return
        run = stage_run(self.model, self.attached, stage)
        if state is None:
            # Every stage has its own stream, so that one that is reused changes nothing in the next.
            torch.manual_seed(_derive(self.seed, index))
            self._check_point(index, run)
        else:
            run.load_state_dict(state["run"])
            set_random_state(state["random"], self.model.device)
        due = self.config.due(stage.steps, stage.checkpoint_every)

        def on_step(step: int, loss: float) -> None:
            if self.progress is not None:
                self.progress(stage.name, step, stage.steps, loss)
            if step in due:
                self._check_point(index, run)

        run.run(self._batches(stage, run.step), on_step)
        _assign(self.attached.trained, self._best_values)
        self._logs[stage.name] = run.log
        self._share(index)

    def _check_point(self, index: int, run: TrainingRun | MixingRun) -> None:
        """Measure the model as it is, keep it if it is the best so far, and write the state."""
        stage = self._stages[index]
        run.catch_up()  # a model that diverged is not measured
        self.attached.module.eval()
        with torch.random.fork_rng([self.model.device] if self.model.device.type == "cuda" else []):
            score = float(self.watch.checkpoint(self.attached, stage, run.step))
        if not math.isfinite(score):
            raise RunError(f"The score after step {run.step} of {stage.steps} is {score}.")
        checkpoint = Checkpoint(stage.name, run.step, score)
        self._checkpoints.append(checkpoint)
        # The model before the first step is measured, and is no result of the stage: nothing was tuned yet.
        best = self._best.get(stage.name)
        if run.step and (best is None or score > best.score):
            self._best[stage.name] = checkpoint
            self._best_values = _values(self.attached.trained)
        if self._folder is not None:
            self._folder.save(self._state(index, run))

    def _state(self, index: int, run: TrainingRun | MixingRun) -> dict[str, Any]:
        best = self._best.get(self._stages[index].name)
        best_is_now = best is None or best.step == run.step
        return {
            "stage": index,
            "run": run.state_dict(),
            "random": random_state(self.model.device),
            "parts": {name: _values(part) for name, part in self.attached.parts.items()},
            "best_values": None if best_is_now else self._best_values,
            "memory": self.memory,
            **self._record(),
        }

    def _restore(self, state: Mapping[str, Any]) -> int:
        """Bring everything but the run of the stage to a state; return the stage."""
        for name, part in self.attached.parts.items():
            _assign(part, state["parts"][name])
        index = int(state["stage"])
        self.attached.train_only(self._stages[index].trains)
        self._best_values = state["best_values"] or _values(self.attached.trained)
        self._load_record(state)
        self.memory.update(state.get("memory", {}))  # earlier versions had none
        return index

    def _record(self) -> dict[str, Any]:
        return {
            "checkpoints": [tuple(checkpoint) for checkpoint in self._checkpoints],
            "best": {stage: tuple(checkpoint) for stage, checkpoint in self._best.items()},
            "logs": {stage: asdict(log) for stage, log in self._logs.items()},
            "reused": self._reused,
        }

    def _load_record(self, record: Mapping[str, Any]) -> None:
        self._checkpoints = [Checkpoint(*values) for values in record["checkpoints"]]
        self._best = {stage: Checkpoint(*values) for stage, values in record["best"].items()}
        self._logs = {stage: TrainingLog.from_dict(log) for stage, log in record["logs"].items()}
        self._reused = list(record["reused"])

    def _is_shared(self, index: int) -> bool:
        """Whether other runs can take a stage over; of weights that are only mixed no other run has use."""
        later = self._stages[index + 1 : index + 2]
        return self.shared is not None and any(not stage.mixes for stage in later)

    def _share(self, index: int) -> None:
        """Keep what a stage gave for other runs; the parts that no stage has trained are fresh in each."""
        if not self._is_shared(index):
            return
        assert self.shared is not None
        folder = self.shared / self._keys[index]
        if not damage(folder):  # another process was here first, with the same
            return
        trained = {part for stage in self._stages[: index + 1] for part in stage.trains}
        parts = {name: _values(self.attached.parts[name]) for name in sorted(trained)}
        save_tensors(folder, {"parts": parts, **self._record()})

    def _reuse(self, index: int) -> bool:
        """Take a stage from another run that had it."""
        if not self._is_shared(index):
            return False
        assert self.shared is not None
        folder = self.shared / self._keys[index]
        if damage(folder):
            return False
        found = load_tensors(folder)
        for name, values in found["parts"].items():
            _assign(self.attached.parts[name], values)
        self._load_record(found)
        self._reused = [stage.name for stage in self._stages[: index + 1]]
        return True

    def _batches(self, stage: Stage, start: int) -> Iterator[TaskBatch]:
        return self._data.batches(
            stage.tasks or self._names,
            stage.training,
            _derive(self.seed, self._stages.index(stage)),
            prompt_ids=self.attached.prompt_ids,
            context=self.model.context,
            start=start,
        )

    def _notes(self) -> Iterator[str]:
        if self.config.training.replay is not None:
            for stage in self._stages:
                if stage.training.replay is None:
                    yield f"No text was replayed in the stage {stage.name}, which trains no weights."
        for name in self._names:
            yield from (f"Task {name}: {note}" for note in self._data.notes(name, "train"))


def _values(parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Copy parameters to the CPU."""
    return [parameter.detach().to("cpu", copy=True) for parameter in parameters]


def _assign(parameters: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _derive(seed: int, stage: int) -> int:
    """Give every stage its own stream of random numbers under one seed."""
    return int(_digest([seed, stage])[:12], 16)
