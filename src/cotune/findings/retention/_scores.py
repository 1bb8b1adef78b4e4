"""From what was measured at checkpoints to means over seeds and draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from statistics import fmean
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.findings.retention._records import RetentionCheckpoint, RetentionData, RetentionRun

At: TypeAlias = Literal["equal", "best"]
"""Which checkpoint of a run: the first to reach the target score all methods are compared at, or its best."""
PRETRAINED = "pretrained"
Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mean(Brief):
    """A mean over training seeds and draws of demonstrations.

    Parameters
    ----------
    mean : float
        In the metric's units.
    stderr : float
        That other seeds and other demonstrations would cause; NaN where there is one of either.
    seeds : int
        Runs it is over.
    """

    mean: float
    stderr: float
    seeds: int

    @classmethod
    def of(cls, values: Array) -> Mean:
        """Average values of shape (seeds, draws); all seeds have the same draws.

        The two sources of error are added as if they were independent: each is the variance of the means over
        the other one, which counts their interaction twice and errs on the safe side.
        """
        n_seeds, n_draws = values.shape
        parts = [np.var(values.mean(1), ddof=1) / n_seeds] if n_seeds > 1 else []
        if n_draws > 1:
            parts.append(np.var(values.mean(0), ddof=1) / n_draws)
        return cls(float(values.mean()), math.sqrt(sum(parts)) if parts else math.nan, n_seeds)


@dataclass(frozen=True, slots=True)
class Kept(Brief):
    """What a method keeps of in-context learning at one learning rate.

    Parameters
    ----------
    method : str
        The method's label.
    learning_rate : float
        Of the last stage.
    at : {"equal", "best"}
        Which checkpoint of each run.
    runs : int
        Runs of the method at this learning rate, with such a checkpoint or without.
    shares : mapping of int to float
        By seed, the average in-context score over that of the pretrained model: 1 is all kept.
    """

    method: str
    learning_rate: float
    at: At
    runs: int
    shares: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Mean share over the seeds; NaN where there is none."""
        return fmean(self.shares.values()) if self.shares else math.nan


class RetentionScores:
    """Means over the runs of a report.

    Parameters
    ----------
    data : RetentionData
        What was measured.

    Raises
    ------
    InputError
        If the parts contradict each other.
    """

    def __init__(self, data: RetentionData) -> None:
        _check(data)
        self.data = data
        self.averaged = tuple(task.name for task in data.evaluation if task.higher_is_better)
        """The tasks that averages are over: those whose metric is better when higher."""

    @cached_property
    def types(self) -> dict[str, tuple[str, ...]]:
        """By type the tasks that averages are over; none where all are of one."""
        found: dict[str, list[str]] = {}
        for task in self.data.evaluation:
            if task.type and task.name in self.averaged:
                found.setdefault(task.type, []).append(task.name)
        return {kind: tuple(tasks) for kind, tasks in found.items()} if len(found) > 1 else {}

    @cached_property
    def shots(self) -> tuple[int, ...]:
        """The numbers of demonstrations, in increasing order."""
        return tuple(sorted({value.shots for value in self.data.pretrained.in_context}))

    @property
    def most_shots(self) -> int:
        """The highest number of demonstrations, 0 where in-context learning was not measured."""
        return self.shots[-1] if self.shots else 0

    def runs(self, method: str, learning_rate: float) -> list[RetentionRun]:
        """Return the runs of a method at a learning rate by their seeds."""
        runs = [r for r in self.data.runs if r.method == method and r.learning_rate == learning_rate]
        return sorted(runs, key=lambda run: run.seed)

    def checkpoints(self, method: str, learning_rate: float, at: At) -> dict[int, RetentionCheckpoint]:
        """Return, by seed, the checkpoints chosen this way, of the runs that have one measured in context."""
        chosen = {run.seed: checkpoint_at(run, at) for run in self.runs(method, learning_rate)}
        return {seed: c for seed, c in chosen.items() if c is not None and c.in_context}

    def target(self, checkpoints: Sequence[RetentionCheckpoint], task: str) -> Mean | None:
        """Average the test score of a target."""
        values = [score.test for c in checkpoints for score in c.targets if score.task == task]
        return _mean(np.array([values]).T if values else None)

    def in_context(self, checkpoints: Sequence[RetentionCheckpoint], task: str, shots: int) -> Mean | None:
        """Average the in-context score of an evaluation task."""
        return _mean(self._matrix(checkpoints, task, shots))

    def average(
        self, checkpoints: Sequence[RetentionCheckpoint], shots: int, tasks: Sequence[str] | None = None
    ) -> Mean | None:
        """Average the in-context score over tasks, each counting the same: the normalised average.

        Parameters
        ----------
        checkpoints : sequence of RetentionCheckpoint
            One of each run.
        shots : int
            Demonstrations in the prompts.
        tasks : sequence of str, optional
            By default all that have no loss; or those of one of :attr:`types`.
        """
        return _mean(self._average_matrix(checkpoints, shots, self.averaged if tasks is None else tasks))

    def label_share(
        self, checkpoint: RetentionCheckpoint, shots: int, by: Literal["answer", "first_word"] = "answer"
    ) -> float:
        """Average the share of labels over the tasks that have one; NaN where none has."""
        of_value = {"answer": attrgetter("label_share"), "first_word": attrgetter("first_word_share")}[by]
        shares = [of_value(value) for value in checkpoint.in_context if value.shots == shots]
        known = [share for share in shares if share is not None]
        return float(np.mean(known)) if known else math.nan

    def kept(self, method: str, learning_rate: float, at: At, shots: int) -> dict[int, float]:
        """Return, by seed, the average in-context score over that of the pretrained model: 1 is all kept."""
        before = self.average([self.data.pretrained], shots)
        if before is None or not before.mean > 0:
            return {}
        kept = {}
        for seed, checkpoint in self.checkpoints(method, learning_rate, at).items():
            after = self.average([checkpoint], shots)
            if after is not None:
                kept[seed] = after.mean / before.mean
        return kept

    def untouched(self, method: str) -> bool:
        """Tell whether a method leaves the model as it is without its prompt, as prompt tuning does."""
        before = {(v.task, v.shots): v.draws for v in self.data.pretrained.in_context}
        found = [c for run in self.data.runs if run.method == method for c in run.checkpoints]
        if any(c.change is not None and (c.change.weights or 0) > 0 for c in found):
            return False
        values = [v for c in found for v in c.in_context]
        tuned = any(c.change is None or c.change.moved for c in found if c.step)
        return tuned and bool(values) and all(v.draws == before.get((v.task, v.shots)) for v in values)

    def _matrix(self, checkpoints: Sequence[RetentionCheckpoint], task: str, shots: int) -> Array | None:
        """Scores of shape (checkpoints, draws), or None where a checkpoint lacks them."""
        rows = [v.draws for c in checkpoints for v in c.in_context if v.task == task and v.shots == shots]
        return np.array(rows) if rows and len(rows) == len(checkpoints) else None

    def _average_matrix(
        self, checkpoints: Sequence[RetentionCheckpoint], shots: int, tasks: Sequence[str]
    ) -> Array | None:
        found = [self._matrix(checkpoints, task, shots) for task in tasks]
        known = [scores for scores in found if scores is not None]
        if not known or len(known) < len(found):
            return None
        if len({scores.shape for scores in known}) > 1:
            known = [scores.mean(1, keepdims=True) for scores in known]
        return np.asarray(np.mean(known, axis=0))


def checkpoint_at(run: RetentionRun, at: At) -> RetentionCheckpoint | None:
    """Return the checkpoint of a run chosen this way, or None where it has none.

    One that nothing was done to is none, whoever chose it: before the first step of its stage, or where the
    stage left every number as it was. It would keep all of in-context learning and say nothing of a method.
    """
    position = run.equal if at == "equal" else run.best
    chosen = None if position is None else run.checkpoints[position]
    return chosen if chosen is not None and is_result(chosen) else None


def is_result(checkpoint: RetentionCheckpoint) -> bool:
    """Tell whether a checkpoint is after a step that changed something, as far as it is known."""
    return checkpoint.step > 0 and (checkpoint.change is None or checkpoint.change.moved)


def _mean(values: Array | None) -> Mean | None:
    return None if values is None or not np.isfinite(values).all() else Mean.of(values)


def _check(data: RetentionData) -> None:
    where = f"Retention report {data.title!r}"
    if not data.targets or not data.evaluation or not data.methods or not data.learning_rates:
        raise InputError(f"{where} needs at least one target, evaluation task, method and learning rate.")
    names = [task.name for task in (*data.targets, *data.evaluation)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{where} lists task {twice!r} twice; a task is a target or evaluated, once.")
    draws = {(v.task, v.shots): len(v.draws) for v in data.pretrained.in_context}
    for run in data.runs:
        name = f"the run of {run.method}, learning rate {run.learning_rate:g}, seed {run.seed}"
        if run.method not in data.methods or run.learning_rate not in data.learning_rates:
            raise InputError(f"{where} has {name}, but not its method or not its learning rate.")
        for position in (run.best, run.equal):
            if position is not None and not 0 <= position < len(run.checkpoints):
                raise InputError(
                    f"{where}: {name} has {len(run.checkpoints)} checkpoints, so none is number {position}."
                )
        _check_values(where, name, run, names, draws)


def _check_values(
    where: str,
    name: str,
    run: RetentionRun,
    tasks: Sequence[str],
    draws: Mapping[tuple[str, int], int],
) -> None:
    for checkpoint in run.checkpoints:
        for value in checkpoint.in_context:
            if draws.get((value.task, value.shots)) != len(value.draws):
                raise InputError(
                    f"{where}: {name} has {len(value.draws)} draws of task {value.task!r} at {value.shots} "
                    f"shots, the pretrained model {draws.get((value.task, value.shots), 0)}; they must agree."
                )
        unknown = [score.task for score in checkpoint.targets if score.task not in tasks]
        if unknown:
            raise InputError(f"{where}: {name} has a score of {unknown[0]!r}, which is none of the targets.")
