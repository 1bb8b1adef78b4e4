"""All that follows from the data of a retention study, worked out once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

from cotune._repr import Brief
from cotune.findings._plain import plain
from cotune.findings.retention._answers import (
    Answered,
    LabelShares,
    answered,
    label_sentences,
    label_shares,
)
from cotune.findings.retention._last_stage import (
    MethodChange,
    Untuned,
    change_sentences,
    method_changes,
    untuned_findings,
    untuned_sentences,
)
from cotune.findings.retention._records import RetentionCost, RetentionData
from cotune.findings.retention._scores import At, Kept, RetentionScores
from cotune.findings.retention._smallest import SmallestReplay, smallest_replays
from cotune.findings.retention._types import TypeAverage, type_averages
from cotune.findings.retention._verdict import RetentionVerdict, verdict_of


@dataclass(frozen=True, slots=True)
class MethodCost(Brief):
    """The mean cost of a run of a method, over all learning rates and seeds; NaN where it is not known.

    Parameters
    ----------
    method : str
        The method's label.
    runs : int
        Runs whose cost is known.
    cpu_seconds, wall_seconds : float
        Of training.
    tokens, trainable_parameters, disk_bytes : float
        As in :class:`RetentionCost`.
    """

    method: str
    runs: int
    cpu_seconds: float
    wall_seconds: float
    tokens: float
    trainable_parameters: float
    disk_bytes: float


@dataclass(frozen=True, slots=True)
class RetentionFindings(Brief):
    """What a retention study found; made by :func:`retention_findings`.

    Parameters
    ----------
    data : RetentionData
        What was measured.
    scores : RetentionScores
        Means over seeds and draws, for whichever checkpoints are asked for.
    kept : tuple of Kept
        What every method keeps at every learning rate it was run at, at the highest number of shots: at
        equal target score where there is one, and at the best checkpoints.
    costs : tuple of MethodCost
        Of the methods whose cost is known.
    changes : tuple of MethodChange
        What the last stage of every method changed at every learning rate, at the checkpoints of ``kept``.
    untuned : tuple of Untuned
        What the pretrained model, and prompts (or a LoRA in their place) alone, reach on the targets,
        where that is enough.
    by_type : tuple of TypeAverage
        Averages over the tasks of each type, where there are several.
    label_shares : tuple of LabelShares
        How many answers to other tasks are labels of the target.
    answered : tuple of Answered
        A few answers of every method, before and after.
    smallest : tuple of SmallestReplay
        The smallest replay that keeps as much as is wanted, where several ratios were tried.
    said : tuple of str
        What there is to say of changes, untuned weights, the smallest replay and labels; they are among the
        verdict's remarks.
    verdict : RetentionVerdict
        The answer.
    """

    data: RetentionData
    scores: RetentionScores
    kept: tuple[Kept, ...]
    costs: tuple[MethodCost, ...]
    changes: tuple[MethodChange, ...]
    untuned: tuple[Untuned, ...]
    by_type: tuple[TypeAverage, ...]
    label_shares: tuple[LabelShares, ...]
    answered: tuple[Answered, ...]
    smallest: tuple[SmallestReplay, ...]
    said: tuple[str, ...]
    verdict: RetentionVerdict

    @property
    def chosen(self) -> tuple[At, ...]:
        """The ways to choose checkpoints: at equal target score where there is one, and the best."""
        return _ways(self.data)

    def changed_by(self, method: str, learning_rate: float, at: At) -> MethodChange | None:
        """Return what the last stage of a method changed, None where it was not run at this learning rate."""
        wanted = (method, learning_rate, at)
        return next((c for c in self.changes if (c.method, c.learning_rate, c.at) == wanted), None)

    def kept_by(self, method: str, learning_rate: float, at: At) -> Kept | None:
        """Return what a method keeps at a learning rate, None where it was not run there."""
        wanted = (method, learning_rate, at)
        return next((k for k in self.kept if (k.method, k.learning_rate, k.at) == wanted), None)

    def to_dict(self) -> dict[str, Any]:
        """Return every measurement, and what the last stages changed, as plain JSON types.

        What is not known is null.
        """
        found: dict[str, Any] = plain(self.data)
        return {
            **found,
            "last_stage": plain(self.changes),
            "untuned": plain(self.untuned),
            "label_shares": plain(self.label_shares),
            "by_type": plain(self.by_type),
            "smallest_replay": plain(self.smallest),
        }


def retention_findings(data: RetentionData) -> RetentionFindings:
    """Work out what a retention study found.

    Parameters
    ----------
    data : RetentionData
        What was measured.

    Raises
    ------
    InputError
        If the parts of the data contradict each other.
    """
    scores = RetentionScores(data)
    kept = tuple(
        Kept(method, rate, at, len(runs), scores.kept(method, rate, at, scores.most_shots))
        for method in data.methods
        for rate in data.learning_rates
        if (runs := scores.runs(method, rate))
        for at in _ways(data)
    )
    ways = _ways(data)
    changes, untuned = tuple(method_changes(scores, ways)), tuple(untuned_findings(scores))
    shares = tuple(label_shares(scores, ways))
    smallest = tuple(smallest_replays(scores))
    said = (
        *untuned_sentences(data, untuned),
        *change_sentences(changes),
        *(one.sentence for one in smallest),
    )
    of_answers = tuple(label_sentences(scores, shares))
    return RetentionFindings(
        data=data,
        scores=scores,
        kept=kept,
        costs=tuple(_costs(data)),
        changes=changes,
        untuned=untuned,
        by_type=tuple(type_averages(scores, ways)),
        label_shares=shares,
        answered=tuple(answered(scores, ways)),
        smallest=smallest,
        said=(*said, *of_answers),
        verdict=verdict_of(scores, kept, said, of_answers),
    )


def _ways(data: RetentionData) -> tuple[At, ...]:
    return ("best",) if data.threshold is None else ("equal", "best")


def _costs(data: RetentionData) -> Iterator[MethodCost]:
    names = [field.name for field in fields(RetentionCost)]
    for method in data.methods:
        costs = [run.cost for run in data.runs if run.method == method and run.cost is not None]
        if costs:
            means = {name: _mean(getattr(cost, name) for cost in costs) for name in names}
            yield MethodCost(method, len(costs), **means)


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else math.nan
