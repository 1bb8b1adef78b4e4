"""What a retention report says in plain words, from its numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from cotune.findings.retention._records import RetentionData
from cotune.findings.retention._scores import At, RetentionScores
from cotune.findings.wording import count, format_number, percent, percent_number


@dataclass(frozen=True, slots=True)
class RetentionVerdict:
    """The answer of a retention study.

    Parameters
    ----------
    headline : str
        One line.
    sentence : str
        The numbers behind it.
    remarks : tuple of str
        What else the numbers say, one sentence each: exceptions, other learning rates, other checkpoints.
    """

    headline: str
    sentence: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Standing:
    """What one method keeps, by seed."""

    method: str
    kept: dict[int, float]

    @property
    def mean(self) -> float:
        return fmean(self.kept.values())


def retention_verdict(data: RetentionData) -> RetentionVerdict:
    """Say which method keeps most of the in-context learning, how sure that is, and what qualifies it.

    It is about the highest number of shots, and about equal target score at the learning rate where most
    methods reach it, the first of those. Where there is no threshold, or fewer than two methods reach it at
    any one learning rate, it is about each method's best checkpoint at the first learning rate.

    Parameters
    ----------
    data : RetentionData
        What was measured.

    Raises
    ------
    InputError
        If the parts of the report contradict each other.
    """
    return verdict_of(RetentionScores(data))


def verdict_of(scores: RetentionScores) -> RetentionVerdict:
    """Say it; see :func:`retention_verdict`."""
    data = scores.data
    rate, at = _scope(scores)
    standings = _standings(scores, rate, at)
    remarks = [*_unreached(scores), *_untouched(scores), *_elsewhere(scores, rate, at)]
    if not standings:
        return RetentionVerdict(
            "No method can be compared.",
            f"No method that changes the model has a best checkpoint at learning rate {rate:g}, or the "
            "pretrained model has no in-context score to keep.",
            tuple(remarks),
        )
    before = scores.average([data.pretrained], _shots(scores))
    level = "" if before is None else f", {format_number(100 * before.mean, 1)} before tuning"
    listed = "; ".join(
        f"{s.method} {percent(s.mean)} "
        f"({kept_range(list(s.kept.values()), len(scores.runs(s.method, rate)))})"
        for s in standings
    )
    sentence = (
        f"At learning rate {rate:g}, {_when(data, at)}, the average {_shots(scores)}-shot score over "
        f"{count(len(scores.averaged), 'task')}{level}, comes to these shares of what it was: {listed}."
    )
    return RetentionVerdict(_headline(standings), " ".join([sentence, *_lead(standings)]), tuple(remarks))


def _scope(scores: RetentionScores) -> tuple[float, At]:
    """Choose where the most methods can be compared: at equal target score, if two can."""
    rates = scores.data.learning_rates
    if scores.data.threshold is not None:
        reached = {rate: len(_standings(scores, rate, "equal")) for rate in rates}
        most = max(rates, key=lambda rate: reached[rate])
        changing = {s.method for rate in rates for s in _standings(scores, rate, "best")}
        if reached[most] >= min(2, max(len(changing), 1)):
            return most, "equal"
    return rates[0], "best"


def _shots(scores: RetentionScores) -> int:
    return scores.shots[-1] if scores.shots else 0


def _standings(scores: RetentionScores, rate: float, at: At) -> list[_Standing]:
    """Order the methods that change the model by what they keep, most first."""
    found = [
        _Standing(method, scores.kept(method, rate, at, _shots(scores)))
        for method in scores.data.methods
        if not scores.untouched(method)
    ]
    return sorted((s for s in found if s.kept), key=lambda s: -s.mean)


def _headline(standings: Sequence[_Standing]) -> str:
    first, last = standings[0], standings[-1]
    opening = f"{first.method} keeps {percent(first.mean)} of the in-context learning"
    return f"{opening}." if first is last else f"{opening}, {last.method} {percent(last.mean)}."


def _lead(standings: Sequence[_Standing]) -> list[str]:
    """Say how sure the first place is: seed by seed, since the seeds of methods are paired."""
    if len(standings) < 2:
        return []
    first, second = standings[:2]
    shared = first.kept.keys() & second.kept.keys()
    ahead = sum(first.kept[seed] > second.kept[seed] for seed in shared)
    if not shared:
        return [f"{first.method} and {second.method}, the next, share no seed."]
    if len(shared) == 1:
        return [f"{first.method} leads {second.method}, the next, with one seed, which proves little."]
    if ahead == len(shared):
        return [f"{first.method} is ahead of {second.method}, the next, in each of {len(shared)} seeds."]
    return [
        f"{first.method} is ahead of {second.method}, the next, in {ahead} of {len(shared)} seeds only, so "
        "the order of these two is open."
    ]


def _when(data: RetentionData, at: At) -> str:
    if at == "best" or data.threshold is None:
        return "at each method's best checkpoint by validation score"
    return f"at the first checkpoint that scores {threshold_text(data)} on the target's validation examples"


def threshold_text(data: RetentionData) -> str:
    """Text of the target score that methods are compared at."""
    if data.threshold is None:
        return "none"
    if all(task.higher_is_better for task in data.targets):
        return f"{format_number(100 * data.threshold, 1).removesuffix('.0')} %"
    return format_number(data.threshold, 3)


def _unreached(scores: RetentionScores) -> list[str]:
    if scores.data.threshold is None:
        return []
    remarks = []
    for rate in scores.data.learning_rates:
        missed = []
        for method in scores.data.methods:
            runs = scores.runs(method, rate)
            reached = sum(run.equal is not None for run in runs)
            if reached < len(runs):
                missed.append(f"{method} in {reached or 'none'} of {count(len(runs), 'run')}")
        if missed:
            text = f"At learning rate {rate:g} not every run reached the target score: {', '.join(missed)}."
            remarks.append(text)
    return remarks


def _untouched(scores: RetentionScores) -> list[str]:
    return [
        f"{method} leaves the model as it is without its prompt, so it keeps everything by construction."
        for method in scores.data.methods
        if scores.untouched(method)
    ]


def _elsewhere(scores: RetentionScores, chosen_rate: float, chosen_at: At) -> list[str]:
    """Say what is kept at the other learning rates, and at the best checkpoints."""
    data = scores.data
    remarks = []
    for rate in data.learning_rates:
        if rate != chosen_rate and (listed := _listed(_standings(scores, rate, chosen_at))):
            remarks.append(f"At learning rate {rate:g}, chosen the same way: {listed}.")
    if chosen_at == "equal" and (listed := _listed(_standings(scores, chosen_rate, "best"))):
        remarks.append(f"At each method's best checkpoint, learning rate {chosen_rate:g}: {listed}.")
    return remarks


def _listed(standings: Sequence[_Standing]) -> str:
    return ", ".join(f"{s.method} {percent(s.mean)}" for s in standings)


def kept_range(kept: Sequence[float], n_runs: int | None = None) -> str:
    """Say between which shares the seeds lie: ``"94 to 98 % over 3 seeds"``, ``"98 % over 2 of 3 seeds"``."""
    part = "" if n_runs in (None, len(kept)) else f"{len(kept)} of "
    seeds = part + count(n_runs if part and n_runs else len(kept), "seed")
    if len(kept) < 2:
        return seeds
    same = percent_number(min(kept)) == percent_number(max(kept))
    return f"{'' if same else percent_number(min(kept)) + ' to '}{percent(max(kept))} over {seeds}"
