"""Means over models and held-out tasks, by number of examples, along training and by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from cotune._repr import Brief
from cotune.findings.transfer._records import (
    HeldOutResult,
    TransferCheckpoint,
    TransferData,
    TransferPoint,
    TransferRun,
    mean,
)

Quantity = Literal["score", "loss"]
Pick = Callable[[HeldOutResult], TransferPoint | None]
"""Which measurement of a held-out task."""


@dataclass(frozen=True, slots=True)
class ArmCurve(Brief):
    """What the models of an arm come to.

    Parameters
    ----------
    arm : int or None
        Position of the arm in ``TransferData.arms``; None for the pretrained model.
    points : tuple of (float, float)
        Number of examples or step, and the mean; NaN where nothing was measured.
    """

    arm: int | None
    points: tuple[tuple[float, float], ...]


def by_examples(data: TransferData, measure: Quantity, tasks: Sequence[str]) -> tuple[ArmCurve, ...]:
    """Average over models and tasks by number of examples fine-tuned on: pretrained, and arms at the end."""
    numbers = [point.examples for point in data.pretrained.held_out[0].transfer]

    def curve(arm: int | None, models: Sequence[TransferCheckpoint]) -> ArmCurve:
        places = ((n, lambda result, n=n: result.transferred(n)) for n in numbers)
        return ArmCurve(arm, tuple((float(n), _mean(models, tasks, pick, measure)) for n, pick in places))

    arms = [(at, [run.last for run in data.of_arm(arm.label)]) for at, arm in enumerate(data.arms)]
    return (curve(None, [data.pretrained]), *(curve(at, models) for at, models in arms if models))


def along_training(data: TransferData, measure: Quantity, pick: Pick) -> tuple[ArmCurve, ...]:
    """Average over models and held-out tasks by step; the pretrained model is level from first to last."""
    tasks = [task.name for task in data.held_out]
    steps = steps_measured(data)
    ends = (float(steps[0]), float(steps[-1])) if steps else (1.0, 2.0)
    level = _mean([data.pretrained], tasks, pick, measure)
    curves = [ArmCurve(None, tuple((end, level) for end in ends))]
    for at, arm in enumerate(data.arms):
        by_step: dict[int, list[TransferCheckpoint]] = {}
        for checkpoint in chain.from_iterable(run.checkpoints for run in data.of_arm(arm.label)):
            if checkpoint.step:
                by_step.setdefault(checkpoint.step, []).append(checkpoint)
        points = tuple((float(step), _mean(by_step[step], tasks, pick, measure)) for step in sorted(by_step))
        if points:
            curves.append(ArmCurve(at, points))
    return tuple(curves)


def steps_measured(data: TransferData) -> list[int]:
    """Return the steps at which some model was measured, the pretrained one left out."""
    return sorted({c.step for run in data.runs for c in run.checkpoints if c.step})


def losses_by_step(
    data: TransferData, of: Callable[[TransferRun], Sequence[float | None]]
) -> tuple[ArmCurve, ...]:
    """Average a training loss over the seeds of each arm, step by step, where there is any."""
    curves = []
    for at, arm in enumerate(data.arms):
        steps = zip(*(of(run) for run in data.of_arm(arm.label)), strict=False)
        known = [[loss for loss in step if loss is not None] for step in steps]
        points = tuple((float(step), mean(losses)) for step, losses in enumerate(known, start=1) if losses)
        if points:
            curves.append(ArmCurve(at, points))
    return tuple(curves)


def _mean(models: Sequence[TransferCheckpoint], tasks: Sequence[str], pick: Pick, measure: Quantity) -> float:
    return mean(getattr(point, measure) for point in _picked(models, tasks, pick))


def _picked(
    models: Sequence[TransferCheckpoint], tasks: Sequence[str], pick: Pick
) -> Iterator[TransferPoint]:
    for model in models:
        for result in model.held_out:
            point = pick(result) if result.task in tasks else None
            if point is not None:
                yield point
