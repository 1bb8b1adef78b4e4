"""What the sections on company show: who gains by whom, and how well losses and scores were predicted."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cotune.findings.grouping import (
    AffinityData,
    CompanyGains,
    GroupingFindings,
    company_gains,
    least_agreeing,
    square,
)
from cotune.findings.wording import DASH, significant
from cotune.report.figures.heatmap import ColourScale, HeatMap, heat_map
from cotune.report.figures.lines import NEUTRAL, Frame, LinePlot, Series, line_plot
from cotune.report.layout import Layout
from cotune.report.order import losses_first


@dataclass(frozen=True, slots=True)
class GainRow:
    """One task: its score alone, its mean gain, the partners it gains with, the best and the worst."""

    task: str
    alone: str
    mean: str
    kind: str
    positive: str
    best: str
    worst: str


@dataclass(frozen=True, slots=True)
class NegativeTransferRow:
    """Prediction of negative transfer at one subset size, beside calling every subset harmful."""

    size: str
    f1: str
    everything: str
    prevalence: str
    tasks: str
    scores: str


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """One task with the agreement of its predicted and trained scores."""

    task: str
    value: str


def gains_map(data: GroupingFindings, affinity: AffinityData, layout: Layout) -> HeatMap | None:
    """Draw the gains over training alone, coloured about 0; None where they are not known."""
    if affinity.gains is None:
        return None
    values = square(affinity.gains, len(layout.names), "gains")
    names = [task.name for task in data.tasks]

    def describe(i: int, j: int) -> str:
        return f"{names[i]} with {names[j]}: {significant(values[i, j], signed=True)} over alone"

    title = "Gain of the row task over training alone, with the column task in company"
    return heat_map("gains", title, values, layout, ColourScale.diverging(values, centre=0.0), describe)


def gain_rows(data: GroupingFindings, affinity: AffinityData, layout: Layout) -> list[GainRow]:
    """Tabulate each task's gains by company: in the order shown, or of many those that lose most first."""
    gains = {found.task: found for found in company_gains(data, affinity)}
    names = [name for name in layout.names if name in gains]
    return [_gain_row(gains[name]) for name in losses_first(names, {n: g.mean for n, g in gains.items()})]


def _gain_row(found: CompanyGains) -> GainRow:
    return GainRow(
        task=found.task,
        alone=significant(found.alone),
        mean=significant(found.mean, signed=True),
        kind="gain" if found.mean > 0 else "loss" if found.mean < 0 else "",
        positive=f"{found.positive} of {found.partners}",
        best=_partner(found.best),
        worst=_partner(found.worst),
    )


def _partner(partner: tuple[str, float] | None) -> str:
    return DASH if partner is None else f"{partner[0]} ({significant(partner[1], signed=True)})"


def negative_transfer_rows(affinity: AffinityData) -> list[NegativeTransferRow]:
    """Tabulate the F1 of predicted negative transfer by subset size."""
    return [
        NegativeTransferRow(
            size=str(score.size),
            f1=significant(score.f1, 2),
            everything=significant(score.f1_of_everything, 2),
            prevalence=_percent(score.prevalence),
            tasks=f"{score.tasks:,}",
            scores=f"{score.scores:,}",
        )
        for score in affinity.negative_transfer
    ]


def negative_transfer_plot(affinity: AffinityData) -> LinePlot | None:
    """Draw the F1 of predicted negative transfer against the subset size (Fig. 8); None of a single size."""
    known = [score for score in affinity.negative_transfer if math.isfinite(score.f1)]
    if len(known) < 2:
        return None
    sizes = [float(score.size) for score in known]
    frame = Frame(
        x_label="tasks in a subset",
        y_label="F1 of predicted negative transfer",
        x_range=(sizes[0], sizes[-1]),
        y_range=(0.0, 1.0),
        x_ticks=sizes,
    )
    everything = [score.f1_of_everything for score in known]
    series = [
        Series("predicted", 0, [(size, score.f1) for size, score in zip(sizes, known, strict=True)]),
        Series("calling all worse", NEUTRAL, list(zip(sizes, everything, strict=True)), dashed=True),
    ]
    alt = "F1 of predicted negative transfer by subset size, beside calling every subset worse"
    return line_plot("Negative transfer", alt, series, frame)


def agreement_rows(data: GroupingFindings, affinity: AffinityData) -> list[AgreementRow]:
    """List the tasks from the least to the best predicted, those that could not be judged last."""
    return [AgreementRow(task, significant(value, 2)) for task, value in least_agreeing(data, affinity)]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if math.isfinite(share) else DASH
