"""How much the gradients of the training tasks conflict along training, and whether that changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief
from cotune.evaluation.gradient_conflict import TaskGradients
from cotune.findings.transfer._effects import Effect, paired_effect, pairs_effect
from cotune.findings.transfer._records import TransferData, TransferRun

Values = NDArray[np.float64]
QUANTITIES = ("direction", "magnitude", "noise")


@dataclass(frozen=True, slots=True)
class Conflict(Brief):
    """The gradients of an arm's training tasks after some steps, over tasks and seeds.

    Parameters
    ----------
    arm : str
        Its label.
    step : int
        Steps of the last stage; 0 is before the first.
    direction : Effect
        Mean cosine of two tasks' gradients, noise taken out: 1 is one direction, below 0 they conflict.
    magnitude : Effect
        Mean over pairs of tasks of the shorter gradient over the longer: 1 is one length.
    noise : Effect
        Mean over tasks of the logarithm (base 10) of the variance of a batch's gradient over the square of
        the task's.
    conflicting : float
        Share of the pairs whose cosine is below 0, of those that are known.
    unknown : int
        Pairs, over all seeds, of which a task's gradient is lost in its noise.
    """

    arm: str
    step: int
    direction: Effect
    magnitude: Effect
    noise: Effect
    conflicting: float
    unknown: int


@dataclass(frozen=True, slots=True)
class ConflictChange(Brief):
    """What changes of an arm's conflicts from the first step measured to the last, paired by tasks and seeds.

    Parameters
    ----------
    arm : str
        Its label.
    first, last : int
        The steps.
    direction, magnitude, noise : Effect
        Last less first, of the quantities of :class:`Conflict`.
    """

    arm: str
    first: int
    last: int
    direction: Effect
    magnitude: Effect
    noise: Effect

    @property
    def sentence(self) -> str:
        """What turned, and what is undecided."""
        said = (
            f"{quantity} {effect.text}, {_moved(effect)}"
            for quantity, effect in zip(QUANTITIES, (self.direction, self.magnitude, self.noise), strict=True)
        )
        return f"{self.arm}, step {self.first:,} to {self.last:,}: {'; '.join(said)}."


def conflicts(data: TransferData) -> tuple[Conflict, ...]:
    """Sum up the gradients of every arm at every step at which they were taken."""
    return tuple(_conflicts(data))


def conflict_changes(data: TransferData) -> tuple[ConflictChange, ...]:
    """Compare the last step at which gradients were taken with the first, for every arm."""
    return tuple(_changes(data))


def _conflicts(data: TransferData) -> Iterator[Conflict]:
    for arm in data.arms:
        runs = data.of_arm(arm.label)
        for step in _steps(runs):
            there = [(run, found) for run in runs if (found := _at(run, step)) is not None]
            cosines = [_cosines(found) for _, found in there]
            pairs = np.concatenate([of_run[np.triu_indices(len(of_run), 1)] for of_run in cosines])
            known = pairs[np.isfinite(pairs)]
            yield Conflict(
                arm.label,
                step,
                _over_pairs(there, cosines),
                _over_pairs(there, [_ratios(found) for _, found in there]),
                _over_tasks(there, [_log_noise(found) for _, found in there]),
                float((known < 0).mean()) if len(known) else float("nan"),
                len(pairs) - len(known),
            )


def _changes(data: TransferData) -> Iterator[ConflictChange]:
    for arm in data.arms:
        runs = data.of_arm(arm.label)
        steps = _steps(runs)
        if len(steps) < 2:
            continue
        first, last = steps[0], steps[-1]
        both = [
            (run, start, end)
            for run in runs
            if (start := _at(run, first)) is not None and (end := _at(run, last)) is not None
        ]
        there = [(run, end) for run, _, end in both]
        cosines, ratios, noise = (
            [of(end) - of(start) for _, start, end in both] for of in (_cosines, _ratios, _log_noise)
        )
        if both:
            yield ConflictChange(
                arm.label,
                first,
                last,
                _over_pairs(there, cosines),
                _over_pairs(there, ratios),
                _over_tasks(there, noise),
            )


def _steps(runs: Sequence[TransferRun]) -> list[int]:
    return sorted({step for run in runs for step, _ in run.gradients})


def _at(run: TransferRun, step: int) -> TaskGradients | None:
    return dict(run.gradients).get(step)


def _cosines(found: TaskGradients) -> Values:
    return np.array(found.cosines, dtype=float)


def _ratios(found: TaskGradients) -> Values:
    norms = np.array(found.norms)
    return np.asarray(np.minimum.outer(norms, norms) / np.maximum.outer(norms, norms))


def _log_noise(found: TaskGradients) -> Values:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log10(np.array(found.noise)))


def _over_pairs(there: Sequence[tuple[TransferRun, TaskGradients]], matrices: Sequence[Values]) -> Effect:
    """Average over pairs and runs; of runs on groups of the tasks the other pairs are unknown."""
    tasks = sorted({task for _, found in there for task in found.tasks})
    whole = np.full((len(there), len(tasks), len(tasks)), np.nan)
    for at, ((_, found), matrix) in enumerate(zip(there, matrices, strict=True)):
        places = [tasks.index(task) for task in found.tasks]
        whole[at][np.ix_(places, places)] = matrix
    return pairs_effect(whole, [run.seed for run, _ in there])


def _over_tasks(there: Sequence[tuple[TransferRun, TaskGradients]], values: Sequence[Values]) -> Effect:
    cells = [
        (float(value), task, run.seed)
        for (run, found), of_run in zip(there, values, strict=True)
        for task, value in zip(found.tasks, of_run, strict=True)
    ]
    return paired_effect(*zip(*cells, strict=True))


def _moved(effect: Effect) -> str:
    return {1: "rises", -1: "falls", 0: "undecided"}[effect.sign]
