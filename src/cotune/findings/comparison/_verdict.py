"""From contrasts to a decision and the sentences that carry it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cotune.findings.comparison._table import PairedScores
from cotune.findings.comparison._types import (
    Contrast,
    Decision,
    MeanWithMargin,
    MetricTasks,
    TaskGain,
    Verdict,
)
from cotune.findings.wording import MINUS, format_number

UNDECIDED: Decision = "not decided by these runs"
_BY_SIGN: dict[int, Decision] = {1: "train in these groups", -1: "train together", 0: UNDECIDED}
_NAMED = 6
"""Names a sentence lists before it says how many more there are."""


class BudgetFindings:
    """What is known about the reference at one budget (or over all, ``None``)."""

    def __init__(
        self,
        budget: int | None,
        table: PairedScores,
        reference: str,
        contrasts: Sequence[Contrast],
        gains: Sequence[TaskGain],
    ) -> None:
        self.budget = budget
        self.budgets = table.budgets
        self.metrics = table.metrics
        self.main = table.metrics[0]
        self.reference = reference
        self._contrasts = [c for c in contrasts if c.budget == budget]
        self.gains = [g for g in gains if g.budget == budget]

    def contrast(self, arm: str, metric: MetricTasks, reference: str = "") -> Contrast | None:
        """Return the contrast of the reference with ``arm``, ``None`` if no pair was run."""
        wanted = (reference or self.reference, arm, metric.name)
        return next((c for c in self._contrasts if (c.reference, c.arm, c.metric) == wanted), None)

    @property
    def scope(self) -> str:
        """Opening of a sentence, such as "At 200 steps a task"."""
        if self.budget is not None:
            return f"At {_steps(self.budget)}"
        if len(self.budgets) == 1:
            return f"At {_steps(self.budgets[0])}, the only budget"
        return f"Over all budgets ({_list([str(b) for b in self.budgets])} steps a task)"


def decide(findings: BudgetFindings) -> Verdict:
    """Verdict of the reference against joint training.

    It is decided only where the 95 % interval of the average gain, over the tasks of the metric that most
    tasks have, lies on one side of zero.
    """
    remarks = (
        *_about_metrics(findings),
        *_about_tasks(findings),
        *_about_single(findings),
        *_about_random(findings),
    )
    contrast = findings.contrast("joint", findings.main)
    if contrast is None:
        sentence = f"{findings.scope}, no run of the groups can be paired with one of joint training."
        return Verdict(findings.budget, UNDECIDED, sentence, remarks)
    sentence = f"{findings.scope}, {_against_joint(contrast, findings.main)}"
    return Verdict(findings.budget, _BY_SIGN[contrast.gain.sign], sentence, remarks)


def decide_overall(pooled: Verdict, by_budget: Mapping[int, Verdict]) -> Verdict:
    """Verdict over all budgets, undecided where two budgets are decided in opposite directions."""
    decided = {b: verdict.decision for b, verdict in by_budget.items() if verdict.decision != UNDECIDED}
    if len(set(decided.values())) < 2:
        return pooled
    parts = [f"{decision} at {_steps(budget)}" for budget, decision in decided.items()]
    sentence = f"It depends on the budget: {_list(parts)}. {pooled.sentence}"
    return Verdict(None, UNDECIDED, sentence, pooled.remarks)


def _against_joint(contrast: Contrast, metric: MetricTasks) -> str:
    gain = contrast.gain
    basis = f"mean of {_count(len(contrast.tasks), 'task')}, {_count(gain.seeds, 'seed')}"
    if math.isnan(gain.margin):
        mean = format_number(gain.mean, decimals_for(gain), signed=True)
        return (
            f"these groups gain {mean} {metric.name}{_turned(metric)} over training all tasks together "
            f"({basis}), but {_why_unknown(gain)}, so nothing is decided."
        )
    basis += "; 95 % margin"
    if gain.sign > 0:
        return (
            f"training in these groups beats training all tasks together by {_size(gain, metric)} ({basis})."
        )
    if gain.sign < 0:
        return (
            f"training all tasks together beats training in these groups by {_size(gain, metric)} ({basis})."
        )
    return (
        "training in these groups and training all tasks together cannot be told apart: the gain of the "
        f"groups is {_amount(gain, metric)} ({basis})."
    )


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
    for metric in findings.metrics[1:]:
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
    against = [g for g in findings.gains if g.arm == "joint"]
    worse = [g.task for g in against if g.gain.sign < 0]
    better = sum(g.gain.sign > 0 for g in against)
    if not worse and not better:
        return []
    named = f": {_list(worse)}" if worse else ""
    verb = "is" if better == 1 else "are"
    return [
        f"Of {_count(len(against), 'task')}, each judged by its own 95 % margin, {better} {verb} better in "
        f"the groups than in joint training and {len(worse)} worse{named}."
    ]


def _about_single(findings: BudgetFindings) -> list[str]:
    over_groups = findings.contrast("single", findings.main)
    over_joint = findings.contrast("joint", findings.main, reference="single")
    if over_groups is None or over_groups.gain.sign >= 0:
        return []
    size = _size(over_groups.gain, findings.main)
    if over_joint is not None and over_joint.gain.sign > 0:
        return [
            f"One model per task beats both: the groups by {size}, joint training by "
            f"{_size(over_joint.gain, findings.main)}."
        ]
    return [f"One model per task beats the groups by {size}."]


def _about_random(findings: BudgetFindings) -> list[str]:
    contrast = findings.contrast("random", findings.main)
    if contrast is None:
        return []
    gain = contrast.gain
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


def _turned(metric: MetricTasks) -> str:
    return "" if metric.higher_is_better else " (turned so that + is better)"


def _size(gain: MeanWithMargin, metric: MetricTasks) -> str:
    return f"{format_gain(gain, signed=False).lstrip(MINUS)} {metric.name}"


def _steps(budget: int) -> str:
    return f"{_count(budget, 'step')} a task"


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
