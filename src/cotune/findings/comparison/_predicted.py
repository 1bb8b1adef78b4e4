"""Predicted gains beside those that training showed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.findings._plain import Plain
from cotune.findings.comparison._budget import Budget
from cotune.findings.comparison._statistics import SeedValues, estimate
from cotune.findings.comparison._table import PairedScores
from cotune.findings.comparison._types import ArmScore, MeanWithMargin


@dataclass(frozen=True, slots=True)
class MeasuredGain(Brief, Plain):
    """The mean gain a task of one way of training over another, predicted and measured.

    Parameters
    ----------
    arm : str
        What the groups gain over.
    budget : Budget
        Training steps a task.
    predicted, low, high : float
        The prediction with its interval, in units of the tasks; NaN ends where nothing tells its error.
    measured : MeanWithMargin or None
        The same on test examples, with its 95 % margin; None where both trained the same, so that there is
        nothing to compare.
    tasks : int
        Tasks that were measured.
    """

    arm: str
    budget: Budget
    predicted: float
    low: float
    high: float
    measured: MeanWithMargin | None
    tasks: int

    @property
    def agrees(self) -> bool | None:
        """Whether the measured interval and the predicted one meet; None where either is unknown."""
        if self.measured is None:
            return None
        low, high = self.measured.mean - self.measured.margin, self.measured.mean + self.measured.margin
        known = all(number == number for number in (low, high, self.low, self.high))
        return low <= self.high and self.low <= high if known else None


def measured_gain(
    records: Iterable[ArmScore],
    arm: str,
    budget: Budget,
    *,
    units: Mapping[str, float],
    weights: Mapping[str, float],
    reference: str = "grouped",
) -> MeanWithMargin | None:
    """Average what the reference gained over an arm at a budget, in units of the tasks, by their weights.

    Parameters
    ----------
    records : iterable of ArmScore
        Of all arms.
    arm : str
        The arm.
    budget : Budget
        Training steps a task.
    units : mapping of str to float
        What a gain of 1 is worth in each task's own scores.
    weights : mapping of str to float
        What a gain of each task is worth.
    reference : str
        What gains are of.

    Returns
    -------
    MeanWithMargin or None
        None where no pair of runs was scored. Units are taken as they are, without an error of their own.
    """
    table = PairedScores(records, (reference, arm))
    found = [(task, table.difference(reference, arm, budget, task)) for task in table.tasks]
    cells = [cell for task, cell in found if cell is not None and weights[task] > 0]
    return estimate(_scaled(cells, units, weights)) if cells else None


def _scaled(
    cells: Sequence[SeedValues], units: Mapping[str, float], weights: Mapping[str, float]
) -> list[SeedValues]:
    """Scale the values of every task so that their plain mean over tasks is the weighted one."""
    total = sum(weights[cell.task] for cell in cells)
    factors = {cell.task: len(cells) * weights[cell.task] / total / units[cell.task] for cell in cells}
    return [
        SeedValues(
            cell.task,
            cell.budget,
            {seed: factors[cell.task] * values for seed, values in cell.by_seed.items()},
            cell.examples,
        )
        for cell in cells
    ]
