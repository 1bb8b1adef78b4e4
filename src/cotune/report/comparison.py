"""What the sections on the comparison of arms show: verdicts, scores and gains, and what each arm trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cotune.findings.comparison import (
    ArmAverage,
    Budget,
    Comparison,
    MeanWithMargin,
    MetricTasks,
    budget_words,
    format_gain,
)
from cotune.findings.grouping import ArmCost, GroupingFindings
from cotune.findings.wording import DASH, count, duration, format_number
from cotune.report.layout import Layout
from cotune.report.order import MANY, least_gains, losses_first


@dataclass(frozen=True, slots=True)
class Entry:
    """Text of a table cell; ``kind`` is "gain", "loss" or empty and ``title`` a tooltip."""

    text: str
    kind: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One task (or the average): score of every arm, and the reference's gain over it if it is another."""

    name: str
    cells: tuple[tuple[Entry, Entry | None], ...]
    opens_group: bool = False


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores at one budget of the tasks with one metric."""

    budget: str
    metric: str
    direction: str
    arms: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    average: ScoreRow
    partial: bool
    """Whether some standard error lacks the seeds' part."""
    basis: str
    """Seeds and test examples of most scores, said once instead of at each."""
    uneven: bool
    """Whether some scores have others."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """Average gains over every other arm at one budget (or over all) in one metric."""

    scope: str
    metric: str
    gains: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class ArmLine:
    """One arm at one budget in one metric, as text."""

    arm: str
    adapters: str
    parameters: str
    budget: str
    metric: str
    average: str
    spread: str
    worst: str
    steps: str
    tokens: str
    time: str


def verdict_rows(comparison: Comparison) -> tuple[VerdictRow, ...]:
    """Tabulate the contrasts, the metric that decides first."""
    gains = {(c.arm, c.budget, c.metric): c.gain for c in comparison.contrasts}
    scopes: tuple[Budget | None, ...] = comparison.budgets
    if len(scopes) > 1:
        scopes = (*scopes, None)
    return tuple(
        VerdictRow(
            scope="over all budgets" if budget is None else budget_words(budget),
            metric=metric.name,
            gains=tuple(gain_entry(gains.get((arm, budget, metric.name))) for arm in others(comparison)),
        )
        for metric in comparison.metrics
        for budget in scopes
    )


def others(comparison: Comparison) -> tuple[str, ...]:
    """List the arms the reference is compared with."""
    return tuple(arm for arm in comparison.arms if arm != comparison.reference)


def gain_entry(gain: MeanWithMargin | None, sign: int | None = None) -> Entry:
    """Show a gain with its margin, marked where it is decided: by ``sign``, or else by its own margin."""
    if gain is None:
        return Entry(DASH, title="no pair of runs")
    title = _basis(gain)
    if gain.mean == gain.margin == 0:
        return Entry("same scores", title=f"{title}: no difference on any, as when both arms share the run")
    if math.isnan(gain.margin):
        return Entry(format_gain(gain).replace("(margin unknown)", "± ?"), "", f"{title}: margin unknown")
    return Entry(
        format_gain(gain), {1: "gain", -1: "loss", 0: ""}[gain.sign if sign is None else sign], title
    )


def score_tables(comparison: Comparison, layout: Layout) -> tuple[ScoreTable, ...]:
    """Tabulate every budget and metric: tasks in the order shown, or those of many that lose most first."""
    return tuple(
        _score_table(comparison, metric, budget, layout)
        for budget in comparison.budgets
        for metric in comparison.metrics
    )


def _score_table(comparison: Comparison, metric: MetricTasks, budget: Budget, layout: Layout) -> ScoreTable:
    scores = {(m.arm, m.task): m.score for m in comparison.means if m.budget == budget}
    gains = {(g.arm, g.task): (g.gain, g.sign) for g in comparison.gains if g.budget == budget}
    every = [name for name in layout.names if name in metric.tasks]
    names = losses_first(every, least_gains(comparison))
    inside = [score for (_, task), score in scores.items() if task in metric.tasks]
    decimals = _decimals(inside)
    openers = layout.group_openers(names) if len(names) <= MANY else ()
    reference = comparison.reference
    bases = Counter(_basis(score) for score in inside)
    return ScoreTable(
        budget=budget_words(budget),
        metric=metric.name,
        direction="higher is better" if metric.higher_is_better else "lower is better",
        arms=comparison.arms,
        rows=tuple(
            ScoreRow(
                name,
                tuple(
                    (
                        _score_entry(scores.get((arm, name)), decimals),
                        None if arm == reference else gain_entry(*gains.get((arm, name), (None, None))),
                    )
                    for arm in comparison.arms
                ),
                opens_group=name in openers,
            )
            for name in names
        ),
        average=_average_row(comparison, metric, budget, decimals),
        partial=any(math.isnan(score.se_seeds) for score in inside),
        basis=bases.most_common(1)[0][0] if bases else "",
        uneven=len(bases) > 1,
    )


def _average_row(comparison: Comparison, metric: MetricTasks, budget: Budget, decimals: int) -> ScoreRow:
    scope = (budget, metric.name)
    averages = {a.arm: a for a in comparison.averages if (a.budget, a.metric) == scope}
    gains = {c.arm: c.gain for c in comparison.contrasts if (c.budget, c.metric) == scope}
    cells = []
    for arm in comparison.arms:
        average = averages.get(arm)
        entry = _score_entry(average.score if average else None, decimals)
        if average and len(average.tasks) < len(metric.tasks):
            entry = Entry(
                f"{entry.text} ({len(average.tasks)} of {len(metric.tasks)} tasks)", title=entry.title
            )
        cells.append((entry, None if arm == comparison.reference else gain_entry(gains.get(arm))))
    return ScoreRow("average", tuple(cells))


def _score_entry(score: MeanWithMargin | None, decimals: int) -> Entry:
    if score is None:
        return Entry(DASH, title="no finished run")
    stderr = _known_stderr(score)
    text = format_number(score.mean, decimals)
    if math.isfinite(stderr):
        text += f" ± {format_number(stderr, decimals)}"
        text += "" if math.isfinite(score.se_seeds) else "*"
    return Entry(text, title=_basis(score))


def _basis(score: MeanWithMargin) -> str:
    return f"{count(score.seeds, 'seed')}, {count(score.examples, 'test example')}"


def _known_stderr(score: MeanWithMargin) -> float:
    """Fall back to the examples' part where there is one seed."""
    return score.stderr if math.isfinite(score.stderr) else score.se_examples


def _decimals(scores: Sequence[MeanWithMargin]) -> int:
    """Decimals common to a table: two digits of the median standard error, or three of the median score."""
    errors = [e for e in map(_known_stderr, scores) if e > 0]
    if errors:
        scale, digits = float(np.median(errors)), 2
    else:
        scale, digits = float(np.median([abs(score.mean) for score in scores] or [0.0])), 3
    if not scale > 0:
        return 2
    return min(max(digits - 1 - math.floor(math.log10(scale)), 0), 6)


def arm_lines(data: GroupingFindings) -> tuple[ArmLine, ...]:
    """Tabulate the arms; none where it is not known what they train."""
    trained = {arm.name: arm for arm in data.arms}
    costs = {(cost.arm, cost.budget): cost for cost in data.costs}
    if data.comparison is None or not trained:
        return ()
    lines = []
    for average in data.comparison.averages:
        arm = trained[average.arm]
        decimals = _average_decimals(average)
        margin = average.score.margin
        error = f" ± {format_number(margin, decimals)}" if math.isfinite(margin) else " ± ?"
        known = math.isfinite(average.spread)
        cost = costs.get((average.arm, average.budget))
        lines.append(
            ArmLine(
                arm=average.arm,
                adapters=count(arm.adapters, "adapter"),
                parameters=DASH if arm.parameters is None else f"{arm.parameters:,}",
                budget=budget_words(average.budget),
                metric=average.metric,
                average=format_number(average.score.mean, decimals) + error,
                spread=format_number(average.spread, decimals) if known else DASH,
                worst=f"{format_number(average.worst.value, decimals)} ({average.worst.task})",
                steps=DASH if cost is None else _steps(cost),
                tokens=DASH if cost is None or cost.tokens is None else f"{cost.tokens:,.0f}",
                time=DASH if cost is None else duration(cost.cpu_seconds),
            )
        )
    return tuple(lines)


def _steps(cost: ArmCost) -> str:
    """Write the steps of a seed, with those up to the states that were kept where these are others."""
    kept = "" if cost.kept_steps == cost.steps else f" (kept at {cost.kept_steps:,.0f})"
    return f"{cost.steps:,.0f}{kept}"


def _average_decimals(average: ArmAverage) -> int:
    """Two digits of the standard error of the examples, or of the spread."""
    scale = next((s for s in (average.score.se_examples, average.spread) if s > 0), 0.01)
    return min(max(1 - math.floor(math.log10(scale)), 0), 6)
