"""What a retention report says in plain words, from its numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.findings.retention._records import RetentionData
from cotune.findings.retention._scores import At, Kept, RetentionScores, checkpoint_at
from cotune.findings.wording import count, format_number, percent, percent_number


@dataclass(frozen=True, slots=True)
class RetentionVerdict(Brief):
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


def verdict_of(
    scores: RetentionScores,
    kept: Sequence[Kept],
    of_last_stages: Sequence[str] = (),
    of_answers: Sequence[str] = (),
) -> RetentionVerdict:
    """Say which method keeps most of the in-context learning, how sure that is, and what qualifies it.

    It is about the highest number of shots, and about equal target score at the learning rate where most
    methods reach it, the first of those. Where there is no threshold, or fewer than two methods reach it at
    any one learning rate, it is about each method's best checkpoint at the first learning rate.

    Parameters
    ----------
    scores : RetentionScores
        Means over the runs.
    kept : sequence of Kept
        What the methods keep at the highest number of shots.
    of_last_stages : sequence of str
        What is to be said of what the last stages changed, and of what is reached without them.
    of_answers : sequence of str
        What is to be said of the answers to other tasks.
    """
    data = scores.data
    untouched = [method for method in data.methods if scores.untouched(method)]
    changing = [one for one in kept if one.shares and one.method not in untouched]
    rate, at = _scope(data, changing)
    standings = _standings(changing, rate, at)
    remarks = [
        *of_last_stages,
        *_unreached(scores),
        *_untouched(untouched),
        *_elsewhere(data, changing, rate, at),
        *of_answers,
    ]
    if not standings:
        return RetentionVerdict(
            "No method can be compared.",
            f"No method that changes the model has a best checkpoint at learning rate {rate:g}, or the "
            "pretrained model has no in-context score to keep.",
            tuple(remarks),
        )
    shots = scores.most_shots
    before = scores.average([data.pretrained], shots)
    level = "" if before is None else f", {format_number(100 * before.mean, 1)} before tuning"
    listed = "; ".join(
        f"{s.method} {percent(s.mean)} ({kept_range(list(s.shares.values()), s.runs)})" for s in standings
    )
    sentence = (
        f"At learning rate {rate:g}, {_when(data, at)}, the average {shots}-shot score over "
        f"{count(len(scores.averaged), 'task')}{level}, comes to these shares of what it was: {listed}."
    )
    return RetentionVerdict(_headline(standings), " ".join([sentence, *_lead(standings)]), tuple(remarks))


def _scope(data: RetentionData, changing: Sequence[Kept]) -> tuple[float, At]:
    """Choose where the most methods can be compared: at equal target score, if two can."""
    rates = data.learning_rates
    if data.threshold is not None:
        reached = {rate: len(_standings(changing, rate, "equal")) for rate in rates}
        most = max(rates, key=lambda rate: reached[rate])
        methods = {one.method for one in changing if one.at == "best"}
        if reached[most] >= min(2, max(len(methods), 1)):
            return most, "equal"
    return rates[0], "best"


def _standings(changing: Sequence[Kept], rate: float, at: At) -> list[Kept]:
    """Order the methods that change the model by what they keep, most first."""
    found = [one for one in changing if one.learning_rate == rate and one.at == at]
    return sorted(found, key=lambda one: -one.mean)


def _headline(standings: Sequence[Kept]) -> str:
    first, last = standings[0], standings[-1]
    opening = f"{first.method} keeps {percent(first.mean)} of the in-context learning"
    return f"{opening}." if first is last else f"{opening}, {last.method} {percent(last.mean)}."


def _lead(standings: Sequence[Kept]) -> list[str]:
    """Say how sure the first place is: seed by seed, since the seeds of methods are paired."""
    if len(standings) < 2:
        return []
    first, second = standings[:2]
    shared = first.shares.keys() & second.shares.keys()
    ahead = sum(first.shares[seed] > second.shares[seed] for seed in shared)
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
        rule = scores.data.threshold_rule
        return [f"There is no target score to compare at: {rule}."] if rule and scores.data.runs else []
    remarks = []
    for rate in scores.data.learning_rates:
        missed = []
        for method in scores.data.methods:
            runs = scores.runs(method, rate)
            reached = sum(checkpoint_at(run, "equal") is not None for run in runs)
            if reached < len(runs):
                missed.append(f"{method} in {reached or 'none'} of {count(len(runs), 'run')}")
        if missed:
            text = f"At learning rate {rate:g} not every run reached the target score: {', '.join(missed)}."
            remarks.append(text)
    return remarks


def _untouched(methods: Sequence[str]) -> list[str]:
    return [
        f"{method} leaves the model as it is without its prompt, so it keeps everything by construction."
        for method in methods
    ]


def _elsewhere(data: RetentionData, changing: Sequence[Kept], chosen_rate: float, chosen_at: At) -> list[str]:
    """Say what is kept at the other learning rates, and at the best checkpoints."""
    remarks = []
    for rate in data.learning_rates:
        if rate != chosen_rate and (listed := _listed(_standings(changing, rate, chosen_at))):
            remarks.append(f"At learning rate {rate:g}, chosen the same way: {listed}.")
    if chosen_at == "equal" and (listed := _listed(_standings(changing, chosen_rate, "best"))):
        remarks.append(f"At each method's best checkpoint, learning rate {chosen_rate:g}: {listed}.")
    return remarks


def _listed(standings: Sequence[Kept]) -> str:
    return ", ".join(f"{s.method} {percent(s.mean)}" for s in standings)


def kept_range(kept: Sequence[float], n_runs: int | None = None) -> str:
    """Say between which shares the seeds lie: ``"94 to 98 % over 3 seeds"``, ``"98 % over 2 of 3 seeds"``."""
    part = "" if n_runs in (None, len(kept)) else f"{len(kept)} of "
    seeds = part + count(n_runs if part and n_runs else len(kept), "seed")
    if len(kept) < 2:
        return seeds
    same = percent_number(min(kept)) == percent_number(max(kept))
    return f"{'' if same else percent_number(min(kept)) + ' to '}{percent(max(kept))} over {seeds}"
