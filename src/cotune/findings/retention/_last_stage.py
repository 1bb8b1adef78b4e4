"""What the last stage of every method changed, and what was reached without it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from cotune._repr import Brief
from cotune.findings.retention._records import RetentionCheckpoint, RetentionData, RetentionRun
from cotune.findings.retention._scores import PRETRAINED, At, RetentionScores, is_result
from cotune.findings.wording import DASH, count, format_number, percent, significant


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodChange(Brief):
    """What the last stage of a method changed at the checkpoints chosen one way, the mean over its seeds.

    Parameters
    ----------
    method : str
        The method's label.
    learning_rate : float
        Of the last stage.
    at : {"equal", "best"}
        Which checkpoint of each run.
    runs : int
        Runs with such a checkpoint.
    unmoved : int
        Runs in which nothing was tuned: their last stage left every number as it was, and they have none.
    weights, kl_target, kl_other, answers_target, answers_other : float
        As in :class:`cotune.evaluation.last_stage.StageChange`; NaN where it was not measured.
    """

    method: str
    learning_rate: float
    at: At
    runs: int
    unmoved: int
    weights: float
    kl_target: float
    kl_other: float
    answers_target: float
    answers_other: float

    @property
    def cells(self) -> tuple[str, ...]:
        """The five measurements as text."""
        if self.unmoved and not self.runs:
            return ("nothing was tuned", *4 * (DASH,))
        kl = (significant(value, 2) for value in (self.kl_target, self.kl_other))
        shares = (_share(value) for value in (self.answers_target, self.answers_other))
        return (_share(self.weights), *kl, *shares)


CHANGE_HEADER = ("weights", "KL target", "KL others", "answers target", "answers others")
"""What :attr:`MethodChange.cells` are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untuned(Brief):
    """What is reached on the targets without tuning the weights, where that is as much as is asked for.

    Parameters
    ----------
    model : str
        ``"pretrained"``, or the label of the method that trained something else than the weights first, or
        alone: a prompt, or a LoRA that is taken off for other tasks.
    runs, reached : int
        Models, and those of them that score as much.
    validation, test : float
        Mean scores of the targets over all of them.
    wanted : float
        The validation score at which methods are compared; without one, the best that tuned weights reach.
    stage : str
        What was trained, by the name of its stage; empty for the pretrained model.
    """

    model: str
    runs: int
    reached: int
    validation: float
    test: float
    wanted: float
    stage: str = ""


def method_changes(scores: RetentionScores, ways: Sequence[At]) -> Iterator[MethodChange]:
    """Average what the last stages changed, by method, learning rate and way to choose checkpoints."""
    data = scores.data
    for method in data.methods:
        for rate in data.learning_rates:
            runs = scores.runs(method, rate)
            if not runs:
                continue
            for at in ways:
                changes = [c.change for c in scores.checkpoints(method, rate, at).values()]
                yield MethodChange(
                    method=method,
                    learning_rate=rate,
                    at=at,
                    runs=len(changes),
                    unmoved=sum(map(nothing_tuned, runs)),
                    **{
                        name: _mean(None if one is None else getattr(one, name) for one in changes)
                        for name in ("weights", "kl_target", "kl_other", "answers_target", "answers_other")
                    },
                )


def nothing_tuned(run: RetentionRun) -> bool:
    """Tell whether the last stage of a run left every number that it trains as it was."""
    last = [c for c in run.checkpoints if c.stage == run.checkpoints[-1].stage and c.step]
    return bool(last) and all(c.change is not None and not c.change.moved for c in last)


def untuned_findings(scores: RetentionScores) -> Iterator[Untuned]:
    """Yield what the pretrained model and prompts alone reach on the targets, where it is enough."""
    data = scores.data
    wanted = _wanted(data)
    if wanted is None:
        return
    found = [(PRETRAINED, "", [data.pretrained])] if data.pretrained.targets else []
    found += [(method, *alone) for method in data.methods if (alone := _first_alone(scores, method))]
    for model, stage, checkpoints in found:
        values = [validation_score(c) for c in checkpoints]
        good = sum(_turned(data, value) >= _turned(data, wanted) for value in values)
        if good:
            yield Untuned(
                model=model,
                runs=len(values),
                reached=good,
                validation=fmean(values),
                test=fmean(score.test for c in checkpoints for score in c.targets),
                wanted=wanted,
                stage=stage,
            )


def change_sentences(changes: Sequence[MethodChange]) -> Iterator[str]:
    """Say where nothing was tuned, and where what was tuned changed no answer."""
    for one in changes:
        if one.unmoved and one.at == "best":
            runs = count(one.runs + one.unmoved, "run")
            yield (
                f"Nothing was tuned in {one.unmoved} of {runs} of {one.method} at learning rate "
                f"{one.learning_rate:g}: the last stage left every number as it was, so nothing is compared."
            )
        elif one.runs and one.at == "best" and one.answers_target == 0 and not one.answers_other > 0:
            yield (
                f"The last stage of {one.method} at learning rate {one.learning_rate:g} changed no answer by "
                f"its best checkpoints; the weights by {_share(one.weights)}."
            )


def untuned_sentences(data: RetentionData, found: Sequence[Untuned]) -> Iterator[str]:
    """Say what is reached without tuning the weights."""
    level = "the target score" if data.threshold is not None else "the best score of tuned weights"
    for one in found:
        scores = f"validation {_score(data, one.validation)}, test {_score(data, one.test)}"
        if one.model == PRETRAINED:
            yield f"The pretrained model reaches {level} ({_score(data, one.wanted)}) untuned: {scores}."
            continue
        whole = one.reached == one.runs
        runs = f"in {'each' if whole and one.runs > 1 else one.reached} of {count(one.runs, 'run')}"
        yield (
            f"The {one.stage} alone reaches {level} ({_score(data, one.wanted)}) {runs} of {one.model}, on "
            f"average {scores}: for that the weights need not be tuned."
        )


def validation_score(checkpoint: RetentionCheckpoint) -> float:
    """Average the validation scores of the targets; NaN where none was measured."""
    return fmean(score.validation for score in checkpoint.targets) if checkpoint.targets else math.nan


def _wanted(data: RetentionData) -> float | None:
    """Return the validation score to reach: the threshold, or the best of tuned weights."""
    if data.threshold is not None:
        return data.threshold
    tuned = [
        validation_score(best)
        for run in data.runs
        if run.best is not None and not (best := run.checkpoints[run.best]).untouched and is_result(best)
    ]
    return max(tuned, key=lambda value: _turned(data, value), default=None)


def _first_alone(scores: RetentionScores, method: str) -> tuple[str, list[RetentionCheckpoint]] | None:
    """Return what was trained before the weights, and by seed the model before the first step on these."""
    rates = (rate for rate in scores.data.learning_rates if scores.runs(method, rate))
    runs = scores.runs(method, next(rates, math.nan))
    found = []
    for run in runs:
        before = [c for c in run.checkpoints if c.untouched]
        trained = [c for c in before if c.step or c.stage != before[0].stage]
        if trained:
            # Of a prompt that is all the method trains, the one it keeps; else where the next stage began.
            best = run.checkpoints[run.best] if run.best is not None else before[-1]
            found.append(best if best.untouched else trained[-1])
    return (runs[0].checkpoints[0].stage, found) if found else None


def _turned(data: RetentionData, score: float) -> float:
    return score if data.targets[0].higher_is_better else -score


def _score(data: RetentionData, value: float) -> str:
    if all(task.higher_is_better for task in data.targets):
        return f"{format_number(100 * value, 1)}\N{NO-BREAK SPACE}%"
    return format_number(value, 3)


def _share(value: float) -> str:
    if not math.isfinite(value):
        return DASH
    return percent(value) if not 0 < value < 0.001 else f"{significant(100 * value, 2)}\N{NO-BREAK SPACE}%"


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return fmean(known) if known else math.nan
