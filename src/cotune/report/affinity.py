"""What the sections on affinity show: the matrices, who gains by company, how well losses are predicted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cotune.findings.grouping import (
    AffinityData,
    CompanyGains,
    GroupingFindings,
    MatrixRows,
    company_gains,
    least_agreeing,
    means_between,
    sampling,
    square,
)
from cotune.findings.wording import DASH, count, format_number, significant
from cotune.report.figures.heatmap import ColourScale, HeatMap, heat_map
from cotune.report.figures.lines import NEUTRAL, Frame, LinePlot, Series, line_plot
from cotune.report.layout import Layout

Array = npt.NDArray[np.float64]

_GROUP_TABLE_UP_TO = 12
"""Groups up to which the table of mean affinities between groups fits the page."""


def affinity_maps(data: GroupingFindings, affinity: AffinityData, layout: Layout) -> list[HeatMap]:
    """Draw the matrix that was clustered and the estimate, or the latter alone where it is all there is."""
    n = len(layout.names)
    raw = square(affinity.matrix, n, "affinity matrix")
    describe = _describe(data, affinity, raw)
    if affinity.prepared is None:
        return [_diverging("affinity", f"Estimated affinity ({affinity.unit})", raw, layout, describe)]
    prepared = square(affinity.prepared, n, "prepared affinity matrix")

    def describe_both(i: int, j: int) -> str:
        return f"{describe(i, j)}; as clustered {significant(prepared[i, j])}"

    return [
        _diverging("prepared", "Affinity as it was clustered", prepared, layout, describe_both),
        _diverging("affinity", f"Affinity as estimated ({affinity.unit})", raw, layout, describe),
    ]


def _diverging(
    key: str, title: str, values: Array, layout: Layout, describe: Callable[[int, int], str]
) -> HeatMap:
    return heat_map(key, title, values, layout, ColourScale.diverging(values), describe)


def co_assignment_map(data: GroupingFindings, matrix: MatrixRows, layout: Layout) -> HeatMap:
    """Heat map of how often two tasks fell in one group over resamples of the runs."""
    values = square(matrix, len(layout.names), "co-assignment matrix")
    names = [task.name for task in data.tasks]

    def describe(i: int, j: int) -> str:
        return f"{names[i]} with {names[j]}: together in {100 * values[i, j]:.0f} % of the resamples"

    title = "How often two tasks share a group over resamples of the runs"
    return heat_map("together", title, values, layout, ColourScale.frequency(), describe)


def _describe(data: GroupingFindings, affinity: AffinityData, raw: Array) -> Callable[[int, int], str]:
    n = len(data.tasks)
    names = [task.name for task in data.tasks]
    stderr = None if affinity.stderr is None else square(affinity.stderr, n, "standard errors")
    counts = None if affinity.counts is None else square(affinity.counts, n, "counts")

    def describe(i: int, j: int) -> str:
        known = bool(np.isfinite(raw[i, j]))
        text = f"{names[i]} with {names[j]}: {significant(raw[i, j]) if known else 'never sampled together'}"
        if known and stderr is not None and np.isfinite(stderr[i, j]):
            text += f" ± {significant(stderr[i, j], 2)}"
        if known and counts is not None:
            text += f", {count(int(counts[i, j]), 'sample')}"
        return text

    return describe


def affinity_facts(affinity: AffinityData, n: int) -> list[tuple[str, str]]:
    """Name and text of what is known about the estimate as a whole."""
    found = sampling(affinity, n)
    facts = [("Estimator", affinity.estimator)] if affinity.estimator else []
    facts.append(("Pairs never sampled together", f"{found.never:,} of {found.pairs:,}"))
    if found.samples is not None:
        low, middle, high = (f"{q:,.10g}" for q in found.samples)
        facts.append(("Samples of a pair", f"{middle} in the median, {low} to {high}"))
    if found.stderr is not None:
        known = "unknown" if math.isnan(found.stderr) else significant(found.stderr, 2)
        facts.append(("Median standard error of an entry", known))
    facts.append(("Spread of the entries (sd over pairs)", significant(found.spread, 2)))
    return facts


def group_means(affinity: AffinityData, layout: Layout) -> list[tuple[str, list[str]]]:
    """Mean affinity between the groups without the diagonal; empty with one group or too many for a table."""
    if not 2 <= len(layout.spans) <= _GROUP_TABLE_UP_TO:
        return []
    groups = [layout.order[span.start : span.start + span.size] for span in layout.spans]
    means = means_between(affinity, groups, len(layout.names))
    sizes = np.abs(means[np.isfinite(means)])
    scale = float(np.median(sizes)) if sizes.size else 0.0
    decimals = max(1 - math.floor(math.log10(scale)), 0) if scale else 1
    return [
        (span.name, [format_number(v, decimals, signed=True) if math.isfinite(v) else DASH for v in row])
        for span, row in zip(layout.spans, means.tolist(), strict=True)
    ]


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
    """Tabulate each task's gains by company, in the order shown; none where they are not known."""
    gains = company_gains(data, affinity)
    return [_gain_row(gains[i]) for i in layout.order] if gains else []


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
