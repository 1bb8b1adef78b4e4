"""The effect of replay in a transfer study, and what of a held-out task is compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.evaluation.transfer import area
from cotune.findings.transfer._effects import Effect, paired_effect
from cotune.findings.transfer._records import HeldOutResult, TransferData, TransferRun


@dataclass(frozen=True, slots=True)
class ReplayEffect(Brief):
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


def transfer_area(result: HeldOutResult, *, loss: bool = False) -> float:
    """Return the mean height of a task's transfer curve; NaN where it has fewer than two points."""
    if len(result.transfer) < 2:
        return math.nan
    numbers = [point.examples for point in result.transfer]
    return area(numbers, [point.loss if loss else point.score for point in result.transfer])


def relative_area(data: TransferData, result: HeldOutResult) -> float:
    """Return the area under a task's curve of scores as a share of the pretrained model's.

    NaN where the metric is better when lower, or the pretrained area is 0.
    """
    before = data.pretrained.of(result.task)
    higher = {task.name for task in data.held_out if task.higher_is_better}
    if before is None or result.task not in higher or not transfer_area(before) > 0:
        return math.nan
    return transfer_area(result) / transfer_area(before)


def shown_score(data: TransferData, result: HeldOutResult) -> float:
    """Return a task's in-context score at the most demonstrations; NaN where it was not measured."""
    point = result.shown(data.shots)
    return math.nan if point is None else point.score


def shown_loss(data: TransferData, result: HeldOutResult) -> float:
    """Return the loss that goes with :func:`shown_score`."""
    point = result.shown(data.shots)
    return math.nan if point is None else point.loss


def replay_effects(data: TransferData) -> Iterator[ReplayEffect]:
    """Compare every arm with replay with the arm that differs from it in nothing else."""
    measures: dict[str, Callable[[HeldOutResult], float]] = {
        "in_context_loss": lambda result: shown_loss(data, result),
        "in_context_score": lambda result: shown_score(data, result),
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
            if other.replay or other.recipe != arm.recipe:
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
