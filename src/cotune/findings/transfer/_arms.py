"""What every arm of a transfer study came to at the end, and what it forgot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from cotune._repr import Brief
from cotune.findings.transfer._effects import over_seeds
from cotune.findings.transfer._records import TransferCheckpoint, TransferData, mean
from cotune.findings.transfer._replay import relative_area, shown_score, transfer_area


@dataclass(frozen=True, slots=True)
class TransferArmRow(Brief):
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
class Forgetting(Brief):
    """A held-out task under an arm's last checkpoint, less the pretrained model.

    Below 0 was forgotten where it is below by more than the margin; above 0, of a metric that is better when
    lower.

    Parameters
    ----------
    arm, task : str
        Which.
    in_context : float
        Difference of the in-context scores.
    transfer : float
        Difference of the areas under the transfer curves.
    in_context_margin, transfer_margin : float
        Half widths of the 95 % intervals over trainings; NaN with one seed. What other test examples would
        give is not in them.
    """

    arm: str
    task: str
    in_context: float
    transfer: float
    in_context_margin: float = math.nan
    transfer_margin: float = math.nan


def pretrained_row(data: TransferData) -> TransferArmRow:
    """Sum the model before any tuning up."""
    return _row(data, "pretrained", [data.pretrained], 0)


def arm_rows(data: TransferData) -> tuple[TransferArmRow, ...]:
    """Sum up every arm that has runs."""
    return tuple(_arm_row(data, arm.label) for arm in data.arms if data.of_arm(arm.label))


def forgetting(data: TransferData) -> Iterator[Forgetting]:
    """Compare every arm with the pretrained model, task by task."""
    for arm in data.arms:
        for before in data.pretrained.held_out:
            after = [(run.seed, now) for run in data.of_arm(arm.label) if (now := run.last.of(before.task))]
            if after:
                seeds = [seed for seed, _ in after]
                shown, tuned = (
                    over_seeds([of(now) - of(before) for _, now in after], seeds)
                    for of in (partial(shown_score, data), transfer_area)
                )
                yield Forgetting(arm.label, before.task, shown[0], tuned[0], shown[1], tuned[1])


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
        relative=mean(share for r in results if not math.isnan(share := relative_area(data, r))),
        instructions=instructions,
    )
