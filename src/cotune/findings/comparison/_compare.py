"""Compare arms of training, pair by pair."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from cotune.exceptions import InputError
from cotune.findings.comparison._budget import Budget
from cotune.findings.comparison._choice import CHOICES, Pair
from cotune.findings.comparison._looks import Look
from cotune.findings.comparison._statistics import SeedValues, Values, estimate, p_values
from cotune.findings.comparison._table import PairedScores
from cotune.findings.comparison._types import (
    CONFIDENCE,
    ArmAverage,
    ArmMean,
    ArmScore,
    Comparison,
    Contrast,
    MeanWithMargin,
    MetricTasks,
    TaskGain,
    TaskValue,
    Verdict,
)
from cotune.findings.comparison._verdict import BudgetFindings, decide, decide_overall


def compare(
    records: Iterable[ArmScore],
    arms: Sequence[str],
    reference: str = "grouped",
    *,
    look: Look | None = None,
    before: Comparison | None = None,
    apart: Collection[str] = (),
    left_out: Mapping[str, int] | None = None,
) -> Comparison:
    """Compare one way of training with the others, as in Table 2 of AdaGroup, with 95 % margins.

    Scores are paired by task, budget, seed and test example. The margins hold for the tasks of the study and
    cover the choice of test examples and the training seeds; with one seed nothing is ever decided. What is
    said of single tasks holds at a false discovery rate of 5 %. Tasks
    that share their test examples have to say so (:attr:`ArmScore.examples`): the margin of their average is
    that of as many examples as there are.

    Parameters
    ----------
    records : iterable of ArmScore
        Normally one for each arm, budget, seed and task. A missing one (a diverged run) takes its pair out of
        the comparison, which is counted. Records of arms that are not in ``arms`` are ignored.
    arms : sequence of str
        The arms to compare, in the order they are shown; ``"joint"``, ``"single"``, ``"branched"`` and
        ``"random"`` have a part in the verdicts, which name the best of ``"joint"``, ``"grouped"``,
        ``"branched"`` and ``"single"``.
    reference : str
        The arm that is compared with all others.
    look : Look, optional
        Which look at the comparison this is, where it ends once it is decided: all margins then hold over all
        looks together.
    before : Comparison, optional
        What the look before this one gave; what it told apart stays so.
    apart : collection of str
        Arms whose trainings under one seed have nothing in common: between them the spread of seeds is known
        arm by arm, which narrows margins of few seeds. All others are compared seed by seed.
    left_out : mapping of str to int, optional
        How many test examples the data have of each task beyond those scored: what more of them would decide
        is said with it.

    Returns
    -------
    Comparison
        Scores, gains, contrasts by metric, verdicts by budget and over all.

    Raises
    ------
    InputError
        If ``arms`` repeats an arm, has fewer than two or not the reference, or if records contradict each
        other.
    """
    arms = tuple(arms)
    if len(set(arms)) != len(arms) or len(arms) < 2:
        raise InputError(f"The arms of a comparison must be two or more different names, got {list(arms)}.")
    if reference not in arms:
        raise InputError(
            f"The reference of a comparison must be one of its arms {list(arms)}, got {reference!r}."
        )
    table = PairedScores(records, arms, look, apart)
    scopes = (*table.budgets, None)
    gains = _gains(table, reference, arms, scopes)
    contrasts = _contrasts(table, reference, arms, scopes)
    told = {v.budget: _told_apart(v) for v in (*before.verdicts, before.overall)} if before else {}
    *verdicts, pooled = (
        decide(
            BudgetFindings(
                budget,
                table,
                arms,
                reference,
                contrasts,
                gains,
                look,
                told.get(budget, frozenset()),
                left_out,
            )
        )
        for budget in scopes
    )
    return Comparison(
        reference=reference,
        arms=arms,
        budgets=table.budgets,
        seeds=table.seeds,
        tasks=table.tasks,
        metrics=table.metrics,
        means=_means(table, arms),
        averages=_averages(table, arms),
        gains=tuple(gains),
        contrasts=tuple(c for c in contrasts if c.reference == reference),
        verdicts=tuple(verdicts),
        overall=decide_overall(pooled, dict(zip(table.budgets, verdicts, strict=True))),
        notes=_notes(table, arms),
    )


def _told_apart(verdict: Verdict) -> frozenset[Pair]:
    return frozenset(verdict.outlook.told_apart if verdict.outlook else ())


def _gains(
    table: PairedScores, reference: str, arms: Sequence[str], scopes: Sequence[Budget | None]
) -> list[TaskGain]:
    gains: list[TaskGain] = []
    for arm in arms:
        of_arm: list[TaskGain] = []
        for budget in scopes if arm != reference else ():
            if budget is None and len(table.budgets) == 1:  # over all budgets is at the only one
                of_arm += [replace(gain, budget=None) for gain in of_arm]
                continue
            by_task = {
                task: table.gain(reference, arm, cells)
                for task in table.tasks
                if (cells := _differences(table, reference, arm, budget, (task,)))
            }
            signs = discovered(list(by_task.values()), table.look_of(reference, arm))
            of_arm += [
                TaskGain(arm, budget, task, gain, sign)
                for (task, gain), sign in zip(by_task.items(), signs, strict=True)
            ]
        gains += of_arm
    return gains


def discovered(gains: Sequence[MeanWithMargin], look: Look | None = None) -> list[int]:
    """Return the signs of those gains that hold at a false discovery rate of 5 %, 0 for the others.

    Benjamini and Hochberg's (1995) procedure on the significance of each, over all looks if there are some; a
    gain without a margin is none of the family.
    """
    p = p_values(gains) if look is None else look.overall(p_values(gains))
    known = ~np.isnan(p)
    found = np.zeros(len(gains), dtype=bool)
    if known.any():
        found[known] = _adjusted(p[known]) <= 1 - CONFIDENCE
    return [int(np.sign(gain.mean)) if held else 0 for gain, held in zip(gains, found, strict=True)]


def _adjusted(p: Values) -> Values:
    """Adjust for a false discovery rate; ``scipy.stats`` takes longer to load than a look at a study."""
    order = np.argsort(p)
    of_rank = p[order] * (len(p) / np.arange(1, len(p) + 1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum.accumulate(of_rank[::-1])[::-1]
    return np.clip(adjusted, 0, 1)


def _contrasts(
    table: PairedScores, reference: str, arms: Sequence[str], scopes: Sequence[Budget | None]
) -> list[Contrast]:
    """Contrast the reference with every other arm, and for the verdicts all that can be chosen."""
    chosen = itertools.combinations((arm for arm in CHOICES if arm in arms), 2)
    pairs = dict.fromkeys([*((reference, arm) for arm in arms if arm != reference), *chosen])
    return [
        contrast
        for left, right in pairs
        for budget in scopes
        for metric in table.metrics
        if (contrast := _contrast(table, left, right, budget, metric))
    ]


def _differences(
    table: PairedScores, reference: str, arm: str, budget: Budget | None, tasks: Sequence[str]
) -> list[SeedValues]:
    budgets = table.budgets if budget is None else (budget,)
    cells = (table.difference(reference, arm, b, task) for task in tasks for b in budgets)
    return [cell for cell in cells if cell is not None]


def _contrast(
    table: PairedScores, reference: str, arm: str, budget: Budget | None, metric: MetricTasks
) -> Contrast | None:
    cells = _differences(table, reference, arm, budget, metric.tasks)
    if not cells:
        return None
    pairs = sum(len(cell.by_seed) for cell in cells)
    budgets = table.budgets if budget is None else (budget,)
    expected = table.expected_pairs(metric.tasks, budgets, reference, arm)
    return Contrast(
        reference=reference,
        arm=arm,
        budget=budget,
        metric=metric.name,
        tasks=tuple(dict.fromkeys(cell.task for cell in cells)),
        gain=table.gain(reference, arm, cells),
        pairs=pairs,
        missing=expected - pairs,
    )


def _means(table: PairedScores, arms: Sequence[str]) -> tuple[ArmMean, ...]:
    return tuple(
        ArmMean(arm, budget, task, estimate([cell]))
        for arm in arms
        for budget in table.budgets
        for task in table.tasks
        if (cell := table.cell(arm, budget, task))
    )


def _averages(table: PairedScores, arms: Sequence[str]) -> tuple[ArmAverage, ...]:
    averages = []
    for arm in arms:
        for budget in table.budgets:
            for metric in table.metrics:
                cells = [cell for task in metric.tasks if (cell := table.cell(arm, budget, task))]
                if cells:
                    scored = tuple(cell.task for cell in cells)
                    values = [TaskValue(cell.task, float(cell.seed_means.mean())) for cell in cells]
                    averages.append(
                        ArmAverage(
                            arm,
                            budget,
                            metric.name,
                            scored,
                            estimate(cells),
                            _spread(values),
                            _worst(values, metric),
                        )
                    )
    return tuple(averages)


def _spread(values: Sequence[TaskValue]) -> float:
    return float(np.std([v.value for v in values], ddof=1)) if len(values) > 1 else math.nan


def _worst(values: Sequence[TaskValue], metric: MetricTasks) -> TaskValue:
    return (min if metric.higher_is_better else max)(values, key=lambda v: v.value)


def _notes(table: PairedScores, arms: Sequence[str]) -> tuple[str, ...]:
    notes = []
    lacking = [f"{count} of {arm}" for arm in arms if (count := table.lacking(arm))]
    if lacking:
        notes.append(
            f"Scores are missing ({', '.join(lacking)}); a pair of runs that lacks one side is left out."
        )
    if table.recomputed:
        notes.append(
            f"The recorded score of {len(table.recomputed)} tasks is not the mean over their test examples "
            f"({', '.join(table.recomputed)}); all numbers here are means over examples."
        )
    return tuple(notes)
