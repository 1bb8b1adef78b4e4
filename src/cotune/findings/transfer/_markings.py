"""Whether it matters how a task is marked in the input: by a word, by solved examples, by its instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from cotune._repr import Brief
from cotune.findings.transfer._effects import Effect, paired_effect
from cotune.findings.transfer._records import HeldOutResult, TransferData, mean
from cotune.findings.transfer._replay import transfer_area

Place = tuple[str, int, str]
"""Arm, seed and group of a model."""
Results = Mapping[str, HeldOutResult]


@dataclass(frozen=True, slots=True)
class MarkingRow(Brief):
    """Transfer under one marking, before instruction tuning and at its end without replay; scores.

    Parameters
    ----------
    marking : str
        What tells the model which task it is.
    curve : tuple of (int, float, float)
        Number of examples fine-tuned on, mean score of the pretrained model and of the tuned ones.
    change : Effect
        Of the area under the curve, tuned less pretrained.
    """

    marking: str
    curve: tuple[tuple[int, float, float], ...]
    change: Effect


@dataclass(frozen=True, slots=True)
class MarkingDifference(Brief):
    """One marking less the first, on the same models, tasks and examples, at the end without replay; scores.

    Parameters
    ----------
    marking, first : str
        The two.
    by_examples : tuple of (int, Effect)
        By number of examples fine-tuned on.
    level, change : Effect
        Of the areas under the curves, and of how much instruction tuning changes them.
    """

    marking: str
    first: str
    by_examples: tuple[tuple[int, Effect], ...]
    level: Effect
    change: Effect

    @property
    def sentence(self) -> str:
        """Which marking is higher, or that it is undecided."""
        higher = {1: f"{self.marking} is higher", -1: f"{self.first} is higher", 0: "undecided"}
        changes = {1: f"{self.marking} keeps more", -1: f"{self.first} keeps more", 0: "undecided"}
        return (
            f"Marked by {self.marking} less by {self.first}: area under the transfer curve of the tuned "
            f"models {self.level.text}, {higher[self.level.sign]}; its change by instruction tuning "
            f"{self.change.text}, {changes[self.change.sign]}."
        )


def marking_rows(data: TransferData) -> tuple[MarkingRow, ...]:
    """Sum transfer up under every marking; nothing where there is but one."""
    return tuple(_rows(data)) if data.marked else ()


def marking_differences(data: TransferData) -> tuple[MarkingDifference, ...]:
    """Compare every further marking with the study's first."""
    return tuple(
        found
        for marking in dict.fromkeys(one.marking for one in data.marked)
        if (found := _difference(data, marking)) is not None
    )


def _rows(data: TransferData) -> Iterator[MarkingRow]:
    for marking in dict.fromkeys([data.marking, *(one.marking for one in data.marked)]):
        before, tuned = _models(data, marking)
        changes = _paired(data, {place: (before, results) for place, results in tuned.items()}, transfer_area)
        if changes is not None:
            numbers = [point.examples for result in list(before.values())[:1] for point in result.transfer]
            models = list(tuned.values())
            curve = [(n, _level([before], before, n), _level(models, before, n)) for n in numbers]
            yield MarkingRow(marking, tuple(curve), changes)


def _difference(data: TransferData, marking: str) -> MarkingDifference | None:
    before, tuned = _models(data, data.marking)
    other_before, other = _models(data, marking)
    both = {place: (tuned[place], other[place]) for place in tuned if place in other}
    level = _paired(data, both, transfer_area)
    numbers = [point.examples for result in list(other_before.values())[:1] for point in result.transfer]
    found = ((n, _paired(data, both, partial(_score, examples=n))) for n in numbers)
    by_examples = [(n, effect) for n, effect in found if effect is not None]

    def lost(results: Results, of: Results) -> dict[str, float]:
        return {
            task: transfer_area(result) - transfer_area(of[task])
            for task, result in results.items()
            if task in of
        }

    changes = {
        place: (lost(results, before), lost(others, other_before))
        for place, (results, others) in both.items()
    }
    change = _effect(data, changes)
    if level is None or change is None:
        return None
    return MarkingDifference(marking, data.marking, tuple(by_examples), level, change)


def _models(data: TransferData, marking: str) -> tuple[Results, dict[Place, Results]]:
    """Return what the pretrained and the tuned models without replay come to under a marking."""
    plain = {arm.label for arm in data.arms if not arm.replay}
    if marking == data.marking:
        models = [((run.arm, run.seed, run.group), run.last.held_out) for run in data.runs]
        before = data.pretrained.held_out
    else:
        own = [one for one in data.marked if one.marking == marking]
        models = [((one.arm, one.seed, one.group), one.held_out) for one in own if one.arm]
        before = tuple(result for one in own if not one.arm for result in one.held_out)
    tuned: dict[Place, Results] = {
        place: {result.task: result for result in results} for place, results in models if place[0] in plain
    }
    return {result.task: result for result in before}, tuned


def _paired(
    data: TransferData, models: Mapping[Place, tuple[Results, Results]], of: Callable[[HeldOutResult], float]
) -> Effect | None:
    values = {
        place: tuple({task: of(result) for task, result in results.items()} for results in pair)
        for place, pair in models.items()
    }
    return _effect(data, {place: (one, other) for place, (one, other) in values.items()})


def _effect(
    data: TransferData, values: Mapping[Place, tuple[Mapping[str, float], Mapping[str, float]]]
) -> Effect | None:
    """Average the second less the first over models and tasks; None where nothing is paired."""
    signs = {task.name: 1 if task.higher_is_better else -1 for task in data.held_out}
    cells = [
        (signs[task] * (other[task] - one[task]), task, seed)
        for (_, seed, _), (one, other) in values.items()
        for task in one
        if task in other
    ]
    return paired_effect(*zip(*cells, strict=True)) if cells else None


def _score(result: HeldOutResult, examples: int) -> float:
    point = result.transferred(examples)
    return float("nan") if point is None else point.score


def _level(models: list[Results], before: Results, examples: int) -> float:
    scores = (_score(results[task], examples) for results in models for task in before if task in results)
    return mean(score for score in scores if score == score)
