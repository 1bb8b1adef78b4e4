"""From contrasts to a decision and the sentences that carry it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from cotune.findings.comparison._budget import CONVERGED, Budget, budget_words
from cotune.findings.comparison._choice import (
    CHOICES,
    IN_GROUPS,
    UNDECIDED,
    Pair,
    Standing,
    choosable,
    needs,
)
from cotune.findings.comparison._looks import Look
from cotune.findings.comparison._outlook import outlook
from cotune.findings.comparison._table import PairedScores
from cotune.findings.comparison._types import (
    Contrast,
    MeanWithMargin,
    MetricTasks,
    TaskGain,
    Verdict,
)
from cotune.findings.wording import MINUS, format_number

_WAYS = {
    "grouped": "training in these groups",
    "branched": "training together first, then in these groups",
    "single": "training each task alone",
    "joint": "training all tasks together",
}
_RUNS = {
    "grouped": "the groups",
    "branched": "the groups after a joint part",
    "single": "one model per task",
    "joint": "joint training",
}
_NUMBERS = {2: "two", 3: "three", 4: "four"}
_NAMED = 6
"""Names a sentence lists before it says how many more there are."""


class BudgetFindings:
    """What is known about the reference at one budget (or over all, ``None``)."""

    def __init__(
        self,
        budget: Budget | None,
        table: PairedScores,
        arms: Sequence[str],
        reference: str,
        contrasts: Sequence[Contrast],
        gains: Sequence[TaskGain],
        look: Look | None = None,
        told_before: frozenset[Pair] = frozenset(),
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self.look, self.told_before = look, told_before
        self._left_out = left_out or {}
        self.budget = budget
        self.budgets = table.budgets
        self.metrics = table.metrics
        self.main = table.metrics[0]
        self.arms = arms
        self.reference = reference
        self._contrasts = [c for c in contrasts if c.budget == budget]
        self.gains = [g for g in gains if g.budget == budget]

    def contrast(self, arm: str, metric: MetricTasks, reference: str = "") -> Contrast | None:
        """Return the contrast of the reference with ``arm``, ``None`` if no pair was run."""
        wanted = (reference or self.reference, arm, metric.name)
        return next((c for c in self._contrasts if (c.reference, c.arm, c.metric) == wanted), None)

    @property
    def left_out(self) -> int | None:
        """Test examples that the data have beyond those scored, of the task that has the fewest."""
        known = [self._left_out.get(task) for task in self.main.tasks]
        return None if None in known else min((count for count in known if count is not None), default=None)

    @property
    def scope(self) -> str:
        """Opening of a sentence, such as "At 200 steps a task"."""
        if self.budget is not None:
            return f"At {budget_words(self.budget)}"
        if len(self.budgets) == 1:
            return f"At {budget_words(self.budgets[0])}, the only budget"
        numbers = [str(budget) for budget in self.budgets if budget != CONVERGED]
        steps = f"{_list(numbers)} step{'' if numbers == ['1'] else 's'} a task"
        return f"Over all budgets ({steps}{', and convergence' if CONVERGED in self.budgets else ''})"


def decide(findings: BudgetFindings) -> Verdict:
    """Choose among the groups, trained either way, one model for each task and one for all, as compared.

    It is decided only where the best of them is beyond the margin of its difference to each of the others
    (:mod:`~cotune.findings.comparison._choice` says which), over the tasks of the metric that most tasks
    have.
    """
    main = findings.main
    remarks = [*_about_metrics(findings), *_about_tasks(findings), *_about_random(findings)]
    arms = choosable(findings.arms)
    if len(arms) < 2:
        sentence = f"{findings.scope}, there is nothing to choose from: {_unopposed(arms)}."
        return Verdict(findings.budget, UNDECIDED, sentence, tuple(remarks))
    gains = {}
    for left, right in itertools.combinations(arms, 2):
        contrast = findings.contrast(right, main, left)
        if contrast is None:
            sentence = f"{findings.scope}, no run of {_RUNS[left]} can be paired with one of {_RUNS[right]}."
            return Verdict(findings.budget, UNDECIDED, sentence, tuple(remarks))
        gains[left, right] = contrast.gain
    # Where all tasks are one group, or each is its own, arms share their runs and are one choice.
    while same := next((pair for pair, gain in gains.items() if gain.mean == gain.margin == 0), None):
        if len(gains) == 1:
            way, other = (_WAYS[arm] for arm in same)
            sentence = (
                f"{findings.scope}, {way} is the same as {other}: all scores agree, and nothing is to "
                "compare."
            )
            return Verdict(findings.budget, UNDECIDED, sentence, tuple(remarks))
        remarks.insert(0, f"{_capital(_WAYS[same[0]])} is the same as {_WAYS[same[1]]}: all scores agree.")
        gains = {pair: gain for pair, gain in gains.items() if same[0] not in pair}
    standing = Standing.of(gains, findings.look, findings.told_before)
    tasks = findings.contrast(arms[1], main, arms[0])
    basis = _count(len(tasks.tasks) if tasks else 0, "task")
    sentence = f"{findings.scope}, {_in_words(standing, main, basis)}"
    expected = outlook(standing)
    if standing.decided:
        return Verdict(findings.budget, standing.decision, sentence, tuple(remarks), outlook=expected)
    wanted = needs(standing, findings.left_out)
    if wanted is not None:
        sentence += f" Deciding would need {wanted.text}."
    return Verdict(findings.budget, UNDECIDED, sentence, tuple(remarks), wanted, expected)


def differ(verdicts: Iterable[Verdict]) -> bool:
    """Whether some are decided in opposite directions; two ways to train in these groups are none."""
    in_groups = {CHOICES[arm] for arm in IN_GROUPS}
    decided = {verdict.decision for verdict in verdicts} - {UNDECIDED}
    return len({"in groups" if decision in in_groups else decision for decision in decided}) > 1


def decide_overall(pooled: Verdict, by_budget: Mapping[Budget, Verdict]) -> Verdict:
    """Verdict over all budgets, undecided where two budgets are decided in opposite directions.

    Two ways to train in these groups are none.
    """
    decided = {b: verdict.decision for b, verdict in by_budget.items() if verdict.decision != UNDECIDED}
    if not differ(by_budget.values()):
        return pooled
    parts = [f"{decision} at {budget_words(budget)}" for budget, decision in decided.items()]
    sentence = f"It depends on the budget: {_list(parts)}. {pooled.sentence}"
    return Verdict(None, UNDECIDED, sentence, pooled.remarks, outlook=pooled.outlook)


def _in_words(standing: Standing, metric: MetricTasks, tasks: str) -> str:
    gains, best, rival = standing.gains, standing.best, standing.rival
    basis = f"mean of {tasks}, {_count(gains[best, rival].seeds, 'seed')}"
    others = standing.arms[1:]
    leads = [(_WAYS[other], gains[best, other]) for other in others]
    unknown = next((gain for _, gain in leads if math.isnan(gain.margin)), None)
    if unknown:
        ahead = _list([f"of {way} by {_mean(gain, metric)}" for way, gain in leads])
        why = _why_unknown(unknown)
        return f"{_WAYS[best]} is ahead {ahead} ({basis}), but {why}, so nothing is decided."
    basis += f"; 95 % margin{'s' if len(leads) > 1 else ''}{', all looks together' if standing.look else ''}"
    if standing.decided:
        return f"{_of_decided(standing, metric)} ({basis})."
    if all(gain.sign > 0 for _, gain in leads):
        ahead = _list([f"of {way} by {_size(gain, metric)}" for way, gain in leads])
        among, first = _NUMBERS[len(standing.arms)], f"{100 * standing.confidence:.1f} %"
        if standing.told_apart:
            why = f"the clearest difference has to hold at {first} and others at less, and not all of them do"
        else:
            why = f"one of the differences has to hold at {first}, and none does"
        return f"{_WAYS[best]} is ahead {ahead} ({basis}), but for a choice among {among} {why}."
    left, right = choosable((best, rival))
    third = "".join(_about_third(standing, other, metric) for other in standing.arms[2:])
    return (
        f"{_WAYS[left]} and {_WAYS[right]} cannot be told apart: the gain of {_RUNS[left]} is "
        f"{_amount(gains[left, right], metric)}{third} ({basis})."
    )


def _of_decided(standing: Standing, metric: MetricTasks) -> str:
    """Say whom the best beats; of two ways to train in the groups, the one that beats most of the others."""
    told, gains = standing.told_apart, standing.gains
    best = max(standing.contenders, key=lambda arm: sum(better == arm for better, _ in told))
    beaten = [arm for arm in standing.arms if (best, arm) in told]
    sizes = _list([f"{_WAYS[arm]} by {_size(gains[best, arm], metric)}" for arm in beaten])
    rest = [arm for arm in standing.arms if arm != best and arm not in beaten]
    return f"{_WAYS[best]} beats {sizes}" + "".join(_not_beaten(standing, best, arm, metric) for arm in rest)


def _not_beaten(standing: Standing, best: str, arm: str, metric: MetricTasks) -> str:
    """Say how an arm stands to the best that is not beaten by it, though all is decided."""
    if arm in standing.contenders:
        gain = _amount(standing.gains[best, arm], metric)
        return f"; whether {_WAYS[arm]} is better or worse is open, the gain over it {gain}"
    better = next(winner for winner, worse in sorted(standing.told_apart) if worse == arm)
    size = _size(standing.gains[better, arm], metric)
    return f"; {_WAYS[arm]} is beaten by {_RUNS[better]}, by {size}"


def _about_third(standing: Standing, third: str, metric: MetricTasks) -> str:
    better = [arm for arm in (standing.best, standing.rival) if (arm, third) in standing.told_apart]
    sizes = [_size(standing.gains[arm, third], metric) for arm in better]
    if len(better) == 2:
        return f"; both beat {_WAYS[third]}, by {_list(sizes)}"
    if better:
        return f"; {_WAYS[third]} is beaten by {_RUNS[better[0]]} alone, by {sizes[0]}"
    return f"; nor can {_WAYS[third]} be told apart from either"


def _why_unknown(gain: MeanWithMargin) -> str:
    if math.isnan(gain.se_seeds):
        return "with one training seed the spread between trainings is unknown"
    return "with one test example the spread between examples is unknown"


def _about_metrics(findings: BudgetFindings) -> list[str]:
    if len(findings.metrics) == 1:
        return []
    total = sum(len(metric.tasks) for metric in findings.metrics)
    remarks = [
        f"The verdict is from {findings.main.name}, the metric of {len(findings.main.tasks)} of the {total} "
        "tasks."
    ]
    words = {1: "better than", -1: "worse than", 0: "not told apart from"}
    for metric in findings.metrics[1:] if "joint" in findings.arms else ():
        contrast = findings.contrast("joint", metric)
        if contrast is None:
            remarks.append(f"On {metric.name} no run of the groups can be paired with one of joint training.")
            continue
        remarks.append(
            f"On {metric.name} ({_count(len(contrast.tasks), 'task')}) the groups are "
            f"{words[contrast.gain.sign]} joint training: {_amount(contrast.gain, metric)}."
        )
    return remarks


def _about_tasks(findings: BudgetFindings) -> list[str]:
    remarks = []
    for arm in ("joint", "single"):
        signs = {g.task: g.sign for g in findings.gains if g.arm == arm}
        worse = [task for task, sign in signs.items() if sign < 0]
        better = sum(sign > 0 for sign in signs.values())
        if not worse and not better:
            continue
        named = f": {_list(worse)}" if worse else ""
        verb = "is" if better == 1 else "are"
        remarks.append(
            f"Of {_count(len(signs), 'task')}, at a false discovery rate of 5 %, {better} {verb} better in "
            f"the groups than in {_RUNS[arm]} and {len(worse)} worse{named}."
        )
    return remarks


def _about_random(findings: BudgetFindings) -> list[str]:
    contrast = findings.contrast("random", findings.main)
    if contrast is None:
        return []
    gain = contrast.gain
    if gain.mean == gain.margin == 0:
        return ["Random groups of the same sizes have the same scores: there is nothing to compare."]
    if gain.sign > 0:
        return [f"The found groups beat random groups of the same sizes by {_size(gain, findings.main)}."]
    if gain.sign < 0:
        return [
            f"Random groups of the same sizes beat the found groups by {_size(gain, findings.main)}: it is "
            "not the choice of groups that pays."
        ]
    if math.isnan(gain.margin):
        return [
            f"Whether the found groups are better than random groups of the same sizes is open: "
            f"{_why_unknown(gain)}."
        ]
    return [
        f"Random groups of the same sizes do as well as the found groups as far as these runs can tell (gain "
        f"{_amount(gain, findings.main)}): they do not show that the choice of groups pays."
    ]


def _amount(gain: MeanWithMargin, metric: MetricTasks) -> str:
    return f"{format_gain(gain)} {metric.name}{_turned(metric)}"


def _mean(gain: MeanWithMargin, metric: MetricTasks) -> str:
    return f"{format_number(gain.mean, decimals_for(gain))} {metric.name}"


def _unopposed(arms: Sequence[str]) -> str:
    if not arms:
        return "neither the groups nor joint training nor one model per task are among the arms"
    others = [_RUNS[arm] for arm in CHOICES if arm not in arms and arm != "branched"]
    return f"besides {_RUNS[arms[0]]} neither {' nor '.join(others)} is among the arms"


def _capital(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"


def _turned(metric: MetricTasks) -> str:
    return "" if metric.higher_is_better else " (turned so that + is better)"


def _size(gain: MeanWithMargin, metric: MetricTasks) -> str:
    return f"{format_gain(gain, signed=False).lstrip(MINUS)} {metric.name}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _list(names: Sequence[str]) -> str:
    if len(names) > _NAMED + 1:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def decimals_for(estimate: MeanWithMargin) -> int:
    """Decimals that show two digits of what is known of the uncertainty, or else three of the mean."""
    uncertainties = (estimate.margin, estimate.se_examples, estimate.se_seeds)
    scale, digits = next(((u, 2) for u in uncertainties if u > 0), (abs(estimate.mean), 3))
    if not scale > 0:
        return 2
    return min(max(digits - 1 - math.floor(math.log10(scale)), 0), 8)


def format_gain(estimate: MeanWithMargin, *, signed: bool = True) -> str:
    """Mean and 95 % margin of a gain, such as ``"+0.021 ± 0.008"``.

    Where the margin is unknown the text says so instead of leaving it out.
    """
    decimals = decimals_for(estimate)
    mean = format_number(estimate.mean, decimals, signed=signed)
    if math.isnan(estimate.margin):
        return f"{mean} (margin unknown)"
    return f"{mean} ± {format_number(estimate.margin, decimals)}"
