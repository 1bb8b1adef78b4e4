"""What the section on predicted gains shows: of the groups, of every task, and beside what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cotune.findings.comparison import MeasuredGain, arm_words, budget_words
from cotune.findings.grouping import (
    GroupingFindings,
    Interval,
    PredictedGains,
    gain_text,
    interval_text,
    measured_text,
)
from cotune.findings.wording import DASH, count, significant
from cotune.report.layout import Layout
from cotune.report.order import MANY, losses_first


@dataclass(frozen=True, slots=True)
class PredictedRow:
    """One task with its predicted gain over training it alone; ``kind`` is "gain", "loss" or empty."""

    task: str
    opens_group: bool
    gain: str
    interval: str
    kind: str
    weight: str


@dataclass(frozen=True, slots=True)
class PredictorRow:
    """One predictor with its error on held-out runs of every size."""

    words: str
    errors: tuple[str, ...]
    chosen: bool


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """One predicted gain beside the measured one."""

    over: str
    budget: str
    predicted: str
    measured: str
    agrees: str


def predicted_section(data: GroupingFindings, gain: PredictedGains, layout: Layout) -> dict[str, object]:
    """Return what the template shows of predicted gains."""
    return {
        "sentences": gain.sentences,
        "facts": _facts(gain),
        "sizes": [count(size, "task") for size in gain.tested_sizes],
        "predictors": [
            PredictorRow(p.words, tuple(significant(error, 3) for error in p.errors), p.chosen)
            for p in gain.predictors
            if p.errors
        ],
        "tasks": _tasks(gain, layout),
        "weighted": bool(gain.weights),
        "measured": [_measured(row, gain) for row in data.measured],
    }


def _facts(gain: PredictedGains) -> list[tuple[str, str]]:
    def text(of: Interval) -> str:
        return interval_text(of, gain.unit, gain.level)

    proof = "yes" if gain.optimal else "no: others may be predicted to gain more, up to the bound"
    return [
        ("Gain a task over each alone", text(gain.over_alone)),
        ("Gain a task over all together", text(gain.over_together)),
        ("All together over each alone", gain_text(gain.together, gain.unit)),
        (
            "Upper bound for every partition, into any number of groups",
            gain_text(gain.upper_bound, gain.unit),
        ),
        ("Largest predicted gain", proof),
        ("Predicted gain of the groups by density", gain_text(gain.of_density, gain.unit)),
    ]


def _tasks(gain: PredictedGains, layout: Layout) -> list[PredictedRow]:
    index_of = dict(zip(layout.names, layout.order, strict=True))
    names = losses_first(layout.names, {name: gain.by_task[i].value for name, i in index_of.items()})
    openers = set(layout.group_openers(names)) if len(names) <= MANY else set()
    rows = []
    for name in names:
        index = index_of[name]
        of = gain.by_task[index]
        ends = DASH
        if not math.isnan(of.low):
            ends = f"{gain_text(of.low, gain.unit)} to {gain_text(of.high, gain.unit)}"
        kind = "gain" if of.low > 0 else "loss" if of.high < 0 else ""
        weight = f"{gain.weights[index]:g}" if gain.weights else ""
        rows.append(PredictedRow(name, name in openers, gain_text(of.value, gain.unit), ends, kind, weight))
    return rows


def _measured(row: MeasuredGain, gain: PredictedGains) -> MeasuredRow:
    predicted = Interval(value=row.predicted, low=row.low, high=row.high)
    measured = "the same runs: nothing to compare"
    if row.measured is not None:
        measured = measured_text(row.measured, gain.unit)
    return MeasuredRow(
        over=arm_words(row.arm),
        budget=budget_words(row.budget),
        predicted=interval_text(predicted, gain.unit, gain.level),
        measured=measured,
        agrees={True: "yes", False: "no", None: DASH}[row.agrees],
    )
