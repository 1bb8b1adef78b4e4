"""Which arm is best, where every other is further off than the margin; elsewhere none is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.findings.transfer._effects import Effect, paired_effect
from cotune.findings.transfer._records import HeldOutResult, TransferData, TransferRun, mean
from cotune.findings.transfer._replay import relative_area, shown_loss, shown_score, transfer_area

Cells = dict[tuple[str, int], float]
"""By task and seed a value of an arm, averaged over its models."""

_SEEN = {"seen_train": "train", "seen_test": "test"}
_HELD_OUT: dict[str, Callable[[TransferData, HeldOutResult], float]] = {
    "in_context_loss": shown_loss,
    "in_context_score": shown_score,
    "transfer_loss": lambda data, result: transfer_area(result, loss=True),
    "transfer_score": lambda data, result: transfer_area(result),
    "relative": relative_area,
}
MEASURES = (*_SEEN, *_HELD_OUT)
"""The columns of the table of arms, as :class:`TransferArmRow` calls them."""
_LOWER = frozenset(name for name in MEASURES if name.endswith("loss")) | set(_SEEN)
_SCORES = frozenset({"in_context_score", "transfer_score"})


@dataclass(frozen=True, slots=True)
class Lead(Brief):
    """The arm with the best mean of a measure, and how far the next one is behind.

    Parameters
    ----------
    measure : str
        One of :data:`MEASURES`.
    arm, runner_up : str
        The best arm and the next one, by means over the tasks and seeds that all arms have.
    effect : Effect
        The best less the runner-up; of scores, as if higher were better on all tasks.
    decided : bool
        Whether the best is better than every other arm by more than the margin of their difference.
    """

    measure: str
    arm: str
    runner_up: str
    effect: Effect
    decided: bool

    @property
    def sentence(self) -> str:
        """Who is best by how much, or that it is undecided."""
        if self.decided:
            return f"{self.arm}, less {self.runner_up}, the next, {self.effect.text}"
        return f"undecided, {self.arm} less {self.runner_up} {self.effect.text}"


def leads(data: TransferData) -> tuple[Lead, ...]:
    """Compare the arms by every measure that two of them or more have."""
    labels = [arm.label for arm in data.arms]
    found = (lead(data, labels, measure) for measure in MEASURES)
    return tuple(one for one in found if one is not None)


def lead(data: TransferData, labels: Sequence[str], measure: str) -> Lead | None:
    """Compare arms by a measure; None where fewer than two have it, or none of them for the same tasks."""
    arms = {label: cells for label in labels if (cells := cells_of(data, label, measure))}
    common = set.intersection(*map(set, arms.values())) if len(arms) > 1 else set()
    if not common:
        return None
    means = {label: mean(cells[key] for key in common) for label, cells in arms.items()}
    best, *others = sorted(arms, key=means.__getitem__, reverse=measure not in _LOWER)
    # The tasks of all arms decide who is compared, and so what every difference is over.
    effects = [less(arms[best], arms[other], common) for other in others]
    wanted = -1 if measure in _LOWER else 1
    return Lead(measure, best, others[0], effects[0], all(effect.sign == wanted for effect in effects))


def less(one: Cells, other: Cells, common: set[tuple[str, int]] | None = None) -> Effect:
    """Return the paired difference of two arms on the tasks and seeds that both have."""
    keys = sorted(set(one) & set(other) if common is None else common)
    return paired_effect(
        [one[key] - other[key] for key in keys], [task for task, _ in keys], [seed for _, seed in keys]
    )


def cells_of(data: TransferData, label: str, measure: str) -> Cells:
    """Return an arm's values of a measure at the end of training; what was not measured is left out."""
    found: dict[tuple[str, int], list[float]] = {}
    for run in data.of_arm(label):
        for task, value in _values(data, run, measure):
            found.setdefault((task, run.seed), []).append(value)
    means = {key: mean(values) for key, values in found.items()}
    return {key: value for key, value in means.items() if value == value}


def _values(data: TransferData, run: TransferRun, measure: str) -> Iterator[tuple[str, float]]:
    if measure in _SEEN:
        for loss in run.last.seen:
            yield loss.task, getattr(loss, _SEEN[measure])
        return
    signs = {task.name: 1.0 if task.higher_is_better else -1.0 for task in data.held_out}
    for result in run.last.held_out:
        sign = signs[result.task] if measure in _SCORES else 1.0
        yield result.task, sign * _HELD_OUT[measure](data, result)
