"""What was answered to other tasks: how much of it in the target's format, and a few answers to be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from cotune._repr import Brief
from cotune.findings.retention._records import RetentionCheckpoint, RetentionTask
from cotune.findings.retention._scores import At, RetentionScores
from cotune.findings.runs import AnsweredTask
from cotune.findings.wording import percent
from cotune.tasks import SampleAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelShares(Brief):
    """How many answers to other tasks are labels of the target at the checkpoints chosen one way.

    Means over tasks and seeds, at the highest number of shots; NaN where it was not measured.

    Parameters
    ----------
    method : str
        The method's label.
    learning_rate : float
        Of the last stage.
    at : {"equal", "best"}
        Which checkpoint of each run.
    answer, first_word : float
        Share of the answers that are a label, and of those that begin with one.
    """

    method: str
    learning_rate: float
    at: At
    answer: float
    first_word: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Brief):
    """A few answers of one tuned model, beside those of the pretrained one.

    Parameters
    ----------
    method : str
        The method's label.
    learning_rate : float
        Of the last stage.
    at : {"equal", "best"}
        How the checkpoint was chosen.
    seed, step : int
        Of the run and the checkpoint.
    shots : int or None
        Demonstrations in the prompts of the other tasks.
    tasks : tuple of AnsweredTask
        The targets, then the others.
    """

    method: str
    learning_rate: float
    at: At
    seed: int
    step: int
    shots: int | None
    tasks: tuple[AnsweredTask, ...]


def label_shares(scores: RetentionScores, ways: Sequence[At]) -> Iterator[LabelShares]:
    """Average the shares of labels, by method, learning rate and way to choose checkpoints."""
    shots, data = scores.most_shots, scores.data
    for method in data.methods:
        for rate in data.learning_rates:
            for at in ways:
                found = list(scores.checkpoints(method, rate, at).values())
                exact = [scores.label_share(c, shots) for c in found]
                begun = [scores.label_share(c, shots, "first_word") for c in found]
                if any(map(math.isfinite, (*exact, *begun))):
                    yield LabelShares(
                        method=method,
                        learning_rate=rate,
                        at=at,
                        answer=_mean(exact),
                        first_word=_mean(begun),
                    )


def label_sentences(scores: RetentionScores, shares: Sequence[LabelShares]) -> Iterator[str]:
    """Say of each method whether it answers other tasks in the format of its target."""
    shots = scores.most_shots
    before = scores.label_share(scores.data.pretrained, shots, "first_word")
    for one in shares:
        told = max((v for v in (one.answer, one.first_word) if math.isfinite(v)), default=0.0)
        if one.at == "best" and told >= 0.05 and not told <= before:
            ways = [(one.answer, "exactly"), (one.first_word, "by the first word")]
            listed = ", ".join(f"{percent(share)} {how}" for share, how in ways if math.isfinite(share))
            yield (
                f"Of the {shots}-shot answers of {one.method} to other tasks at its best checkpoints, "
                f"learning rate {one.learning_rate:g}, these are labels of the target: {listed}."
            )


def answered(scores: RetentionScores, ways: Sequence[At]) -> Iterator[Answered]:
    """Choose what is shown of the answers: of each method those of the first run with such a checkpoint."""
    data, shots = scores.data, scores.most_shots
    for method in data.methods:
        for at in ways:
            found = [
                (rate, seed, checkpoint)
                for rate in data.learning_rates
                for seed, checkpoint in scores.checkpoints(method, rate, at).items()
            ]
            for rate, seed, checkpoint in found[:1]:
                tasks = tuple(_tasks(scores, checkpoint, shots))
                if tasks:
                    yield Answered(
                        method=method,
                        learning_rate=rate,
                        at=at,
                        seed=seed,
                        step=checkpoint.step,
                        shots=shots,
                        tasks=tasks,
                    )
            if found:
                break


def _tasks(scores: RetentionScores, checkpoint: RetentionCheckpoint, shots: int) -> Iterator[AnsweredTask]:
    data = scores.data
    for task in data.targets:
        before, after = (
            next((s.answers for s in one.targets if s.task == task.name), ())
            for one in (data.pretrained, checkpoint)
        )
        yield from _task(task, before, after)
    for task in data.evaluation:
        before, after = (
            next((v.answers for v in one.in_context if (v.task, v.shots) == (task.name, shots)), ())
            for one in (data.pretrained, checkpoint)
        )
        yield from _task(task, before, after)


def _task(task: RetentionTask, before: Sequence[str], after: Sequence[str]) -> Iterator[AnsweredTask]:
    rows = zip(task.sample, before, after, strict=False)
    shown = tuple(SampleAnswer(text, right, old, new) for (text, right), old, new in rows)
    if shown:
        yield AnsweredTask(task.name, shown)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return fmean(known) if known else math.nan
