"""What a transfer study finds: correlations, the schemes' table, the effect of replay, what was forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cotune.findings.transfer._records import HeldOutResult, TransferCheckpoint, TransferData, mean
from cotune.findings.transfer._replay import ReplayEffect, replay_effects, shown_score, transfer_area
from cotune.findings.transfer._statistics import (
    Correlation,
    cluster_bootstrap,
    pooled_correlation,
    within_correlation,
)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ScatterPoint:
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
class Relation:
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


@dataclass(frozen=True, slots=True)
class TransferArmRow:
    """An arm at the end of its training: means over runs and tasks.

    Parameters
    ----------
    arm : str
        Its label.
    runs : int
        Runs averaged.
    seen_train, seen_test : float
        Loss on training tasks, on examples that were trained on and on others; nats a token.
    in_context_loss, in_context_score : float
        Of held-out tasks at the most demonstrations.
    transfer_loss, transfer_score : float
        Of held-out tasks: mean height of the curve over the numbers of examples.
    relative : float
        Mean over the tasks of the area under the curve of scores as a share of the pretrained model's; of
        tasks whose metric is better when higher and whose pretrained area is not 0.
    instructions : int
        Examples that a run trained on, repetitions counted.
    """

    arm: str
    runs: int
    seen_train: float
    seen_test: float
    in_context_loss: float
    in_context_score: float
    transfer_loss: float
    transfer_score: float
    relative: float
    instructions: int


@dataclass(frozen=True, slots=True)
class Forgetting:
    """A held-out task under an arm's last checkpoint, less the pretrained model; below 0 was forgotten.

    Parameters
    ----------
    arm, task : str
        Which.
    in_context : float
        Difference of the in-context scores.
    transfer : float
        Difference of the areas under the transfer curves.
    """

    arm: str
    task: str
    in_context: float
    transfer: float


@dataclass(frozen=True, slots=True)
class TransferFindings:
    """All that follows from the data of a transfer study."""

    relation: Relation
    pretrained: TransferArmRow
    arms: tuple[TransferArmRow, ...]
    forgetting: tuple[Forgetting, ...]
    replay: tuple[ReplayEffect, ...]


def transfer_findings(data: TransferData) -> TransferFindings:
    """Work out what a transfer study found."""
    return TransferFindings(
        relation=_relation(data),
        pretrained=_row(data, "pretrained", [data.pretrained], 0),
        arms=tuple(_arm_row(data, arm.label) for arm in data.arms if data.of_arm(arm.label)),
        forgetting=tuple(_forgetting(data)),
        replay=tuple(replay_effects(data)),
    )


def _relation(data: TransferData) -> Relation:
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


def _arm_row(data: TransferData, label: str) -> TransferArmRow:
    runs = data.of_arm(label)
    counted = [sum(count for _, count in run.instructions) for run in runs]
    return _row(data, label, [run.last for run in runs], round(mean(counted)))


def _row(
    data: TransferData, label: str, models: list[TransferCheckpoint], instructions: int
) -> TransferArmRow:
    results = [result for model in models for result in model.held_out]
    shown = [point for result in results if (point := result.shown(data.shots)) is not None]
    seen = [loss for model in models for loss in model.seen]
    return TransferArmRow(
        arm=label,
        runs=len(models),
        seen_train=mean(loss.train for loss in seen),
        seen_test=mean(loss.test for loss in seen),
        in_context_loss=mean(point.loss for point in shown),
        in_context_score=mean(point.score for point in shown),
        transfer_loss=mean(transfer_area(result, loss=True) for result in results),
        transfer_score=mean(transfer_area(result) for result in results),
        relative=mean(_relative(data, results)),
        instructions=instructions,
    )


def _relative(data: TransferData, results: list[HeldOutResult]) -> Iterator[float]:
    higher = {task.name for task in data.held_out if task.higher_is_better}
    for result in results:
        before = data.pretrained.of(result.task)
        if before is not None and result.task in higher and transfer_area(before) > 0:
            yield transfer_area(result) / transfer_area(before)


def _forgetting(data: TransferData) -> Iterator[Forgetting]:
    for arm in data.arms:
        for before in data.pretrained.held_out:
            after = [found for run in data.of_arm(arm.label) if (found := run.last.of(before.task))]
            if after:
                yield Forgetting(
                    arm.label,
                    before.task,
                    mean(shown_score(data, result) for result in after) - shown_score(data, before),
                    mean(map(transfer_area, after)) - transfer_area(before),
                )
