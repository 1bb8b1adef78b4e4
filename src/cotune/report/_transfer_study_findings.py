"""What a transfer study finds: correlations, the schemes' table, the effect of replay, what was forgotten."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cotune.evaluation.transfer import (
    Correlation,
    Effect,
    area,
    cluster_bootstrap,
    paired_effect,
    pooled_correlation,
    within_correlation,
)
from cotune.report._transfer_study_data import (
    HeldOutResult,
    TransferCheckpoint,
    TransferData,
    TransferRun,
    mean,
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
class ReplayEffect:
    """With replay less without, paired by scheme, seed and task, at the end of training.

    Parameters
    ----------
    ratio : float
        Ratio of replay.
    in_context_loss, in_context_score, transfer_loss, transfer_score : Effect
        Areas for transfer; losses are better when lower.
    """

    ratio: float
    in_context_loss: Effect
    in_context_score: Effect
    transfer_loss: Effect
    transfer_score: Effect


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
        replay=tuple(_replay_effects(data)),
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


def transfer_area(result: HeldOutResult, *, loss: bool = False) -> float:
    """Return the mean height of a task's transfer curve; NaN where it has fewer than two points."""
    if len(result.transfer) < 2:
        return math.nan
    numbers = [point.examples for point in result.transfer]
    return area(numbers, [point.loss if loss else point.score for point in result.transfer])


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
                    mean(_shown_score(data, result) for result in after) - _shown_score(data, before),
                    mean(map(transfer_area, after)) - transfer_area(before),
                )


def _shown_score(data: TransferData, result: HeldOutResult) -> float:
    point = result.shown(data.shots)
    return math.nan if point is None else point.score


def _shown_loss(data: TransferData, result: HeldOutResult) -> float:
    point = result.shown(data.shots)
    return math.nan if point is None else point.loss


def _replay_effects(data: TransferData) -> Iterator[ReplayEffect]:
    measures: dict[str, Callable[[HeldOutResult], float]] = {
        "in_context_loss": lambda result: _shown_loss(data, result),
        "in_context_score": lambda result: _shown_score(data, result),
        "transfer_loss": lambda result: transfer_area(result, loss=True),
        "transfer_score": transfer_area,
    }
    for ratio in sorted({arm.replay for arm in data.arms if arm.replay}):
        pairs = list(_pairs(data, ratio))
        if pairs:
            tasks, seeds = [task for task, *_ in pairs], [seed for _, seed, *_ in pairs]
            effects = {
                name: paired_effect([of(b) - of(a) for *_, a, b in pairs], tasks, seeds)
                for name, of in measures.items()
            }
            yield ReplayEffect(ratio, **effects)


def _pairs(data: TransferData, ratio: float) -> Iterator[tuple[str, int, HeldOutResult, HeldOutResult]]:
    """Yield task, seed, and the results without and with replay of runs that differ in nothing else."""
    for arm in data.arms:
        if arm.replay != ratio:
            continue
        for other in data.arms:
            same = (other.scheme, other.method, other.groups) == (arm.scheme, arm.method, arm.groups)
            if other.replay or not same:
                continue
            without = {(run.seed, run.group): run for run in data.of_arm(other.label)}
            for run in data.of_arm(arm.label):
                yield from _paired(without.get((run.seed, run.group)), run)


def _paired(
    without: TransferRun | None, run: TransferRun
) -> Iterator[tuple[str, int, HeldOutResult, HeldOutResult]]:
    if without is not None:
        for result in run.last.held_out:
            before = without.last.of(result.task)
            if before is not None:
                yield result.task, run.seed, before, result
