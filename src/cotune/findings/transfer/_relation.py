"""How what a model learns by fine-tuning and what it learns in context go together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.findings.transfer._records import TransferData
from cotune.findings.transfer._statistics import (
    Correlation,
    cluster_bootstrap,
    pooled_correlation,
    within_correlation,
)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ScatterPoint(Brief):
    """A checkpoint on a held-out task: both of its losses, and both of its scores."""

    arm: str
    seed: int
    group: str
    step: int
    task: str
    transfer_loss: float
    in_context_loss: float
    transfer_score: float
    in_context_score: float


@dataclass(frozen=True, slots=True)
class Relation(Brief):
    """How the loss after fine-tuning and the loss in context go together.

    Parameters
    ----------
    points : tuple of ScatterPoint
        All checkpoints on all held-out tasks; the pretrained model once.
    examples, shots : int
        Examples fine-tuned on, and demonstrations shown.
    overall : Correlation
        Over all points.
    within : Correlation
        Within tasks: with every task's means taken off.
    overall_interval, within_interval : (float, float)
        95 % intervals over resampled tasks.
    """

    points: tuple[ScatterPoint, ...]
    examples: int
    shots: int
    overall: Correlation
    within: Correlation
    overall_interval: Interval
    within_interval: Interval


def relation_of(data: TransferData) -> Relation:
    """Correlate the two losses over all checkpoints and held-out tasks."""
    examples, shots = data.along[-1], data.shots
    points = tuple(_points(data, examples, shots))
    x, y = [p.transfer_loss for p in points], [p.in_context_loss for p in points]
    tasks = [p.task for p in points]
    return Relation(
        points=points,
        examples=examples,
        shots=shots,
        overall=pooled_correlation(x, y),
        within=within_correlation(x, y, tasks),
        overall_interval=cluster_bootstrap(x, y, tasks),
        within_interval=cluster_bootstrap(x, y, tasks, within=True),
    )


def _points(data: TransferData, examples: int, shots: int) -> Iterator[ScatterPoint]:
    models = [("pretrained", 0, "", data.pretrained)]
    models += [
        (run.arm, run.seed, run.group, checkpoint)
        for run in data.runs
        for checkpoint in run.checkpoints
        if checkpoint.step
    ]
    for arm, seed, group, checkpoint in models:
        for result in checkpoint.held_out:
            tuned, shown = result.transferred(examples), result.shown(shots)
            if tuned is not None and shown is not None:
                yield ScatterPoint(
                    *(arm, seed, group, checkpoint.step, result.task),
                    *(tuned.loss, shown.loss, tuned.score, shown.score),
                )
