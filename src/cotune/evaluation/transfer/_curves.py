"""Transfer curves: scores by number of examples, their area, and what is left of the pretrained model's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cotune._repr import Brief

if TYPE_CHECKING:
    from cotune.evaluation.transfer._evaluate import Measured


@dataclass(frozen=True)
class TransferCurve(Brief):
    """What fine-tuning on more and more examples of a task gives: means over the draws.

    Parameters
    ----------
    task : str
        Name of the task.
    examples : tuple of int
        Numbers of examples, increasing.
    scores, losses : tuple of tuple of float
        For each number of examples the values of the draws.
    """

    task: str
    examples: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def mean_scores(self) -> tuple[float, ...]:
        """Mean score by number of examples."""
        return tuple(float(np.mean(draws)) for draws in self.scores)

    @property
    def mean_losses(self) -> tuple[float, ...]:
        """Mean loss by number of examples."""
        return tuple(float(np.mean(draws)) for draws in self.losses)

    @property
    def score_area(self) -> float:
        """Mean height of the curve of scores; see :func:`area`."""
        return area(self.examples, self.mean_scores)

    @property
    def loss_area(self) -> float:
        """Mean height of the curve of losses."""
        return area(self.examples, self.mean_losses)


def transfer_curve(points: Iterable[Measured]) -> TransferCurve:
    """Put the measurements of one task and one model together.

    Raises
    ------
    ValueError
        If they are of more than one task.
    """
    by_examples: dict[int, list[Measured]] = {}
    for point in sorted(points, key=lambda point: point.draw):
        by_examples.setdefault(point.examples, []).append(point)
    examples = tuple(sorted(by_examples))
    (task,) = {point.task for cell in by_examples.values() for point in cell}
    return TransferCurve(
        task,
        examples,
        tuple(tuple(point.score for point in by_examples[n]) for n in examples),
        tuple(tuple(point.loss for point in by_examples[n]) for n in examples),
    )


def area(examples: Sequence[int], values: Sequence[float]) -> float:
    """Return the area under a curve by the trapezoid rule, divided by its width: the mean height.

    Parameters
    ----------
    examples : sequence of int
        Increasing, at least two.
    values : sequence of float
        One for each.
    """
    return float(np.trapezoid(values, examples) / (examples[-1] - examples[0]))


def relative_transfer(curve: TransferCurve, pretrained: TransferCurve) -> float:
    """Return the area under a checkpoint's curve of scores as a share of the pretrained model's.

    1 is transfer as before instruction tuning; NaN where the pretrained model's area is 0. For scores that
    are better when higher.

    Raises
    ------
    ValueError
        If the curves are not over the same numbers of examples.
    """
    if curve.examples != pretrained.examples:
        raise ValueError(f"curves over {curve.examples} and {pretrained.examples} examples do not compare")
    before = pretrained.score_area
    return curve.score_area / before if before else math.nan
