"""What the section on affinity shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cotune.exceptions import InputError
from cotune.findings.grouping import AffinityData, Matrix, ReportData
from cotune.findings.wording import DASH, count, format_number, significant
from cotune.report.figures.heatmap import ColourScale, HeatMap, heat_map
from cotune.report.figures.lines import NEUTRAL, Frame, LinePlot, Series, line_plot
from cotune.report.layout import Layout

Array = npt.NDArray[np.float64]

_GROUP_TABLE_UP_TO = 12
"""Groups up to which the table of mean affinities between groups fits the page."""


def square(values: Matrix, n: int, name: str) -> Array:
    """Return a matrix of the report as an (n, n) array.

    Raises
    ------
    InputError
        If it has another shape.
    """
    rows = [[float(value) for value in row] for row in values]
    if len(rows) != n or any(len(row) != n for row in rows):
        raise InputError(
            f"The {name} of a report must have a row and a column for each of its {n} tasks, "
            f"got {len(rows)} rows of {sorted({len(row) for row in rows})} columns."
        )
    return np.array(rows, dtype=float)


def affinity_maps(data: ReportData, affinity: AffinityData, layout: Layout) -> list[HeatMap]:
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


def co_assignment_map(data: ReportData, matrix: Matrix, layout: Layout) -> HeatMap:
    """Heat map of how often two tasks fell in one group over resamples of the runs."""
    values = square(matrix, len(layout.names), "co-assignment matrix")
    names = [task.name for task in data.tasks]

    def describe(i: int, j: int) -> str:
        return f"{names[i]} with {names[j]}: together in {100 * values[i, j]:.0f} % of the resamples"

    title = "How often two tasks share a group over resamples of the runs"
    return heat_map("together", title, values, layout, ColourScale.frequency(), describe)


def _describe(data: ReportData, affinity: AffinityData, raw: Array) -> Callable[[int, int], str]:
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
    raw = square(affinity.matrix, n, "affinity matrix")
    off_diagonal = ~np.eye(n, dtype=bool)
    pairs = n * (n - 1) // 2
    upper = np.triu(off_diagonal)
    never = int((~np.isfinite(raw) & ~np.isfinite(raw.T))[upper].sum())
    facts = [("Estimator", affinity.estimator)] if affinity.estimator else []
    facts.append(("Pairs never sampled together", f"{never:,} of {pairs:,}"))
    if affinity.counts is not None and pairs:
        counts = square(affinity.counts, n, "counts")[upper]
        low, middle, high = (f"{q:,.10g}" for q in np.quantile(counts, (0, 0.5, 1)))
        facts.append(("Samples of a pair", f"{middle} in the median, {low} to {high}"))
    known = raw[off_diagonal & np.isfinite(raw)]
    spread = float(known.std()) if known.size else float("nan")
    if affinity.stderr is not None:
        errors = square(affinity.stderr, n, "standard errors")[off_diagonal]
        finite = errors[np.isfinite(errors)]
        median = significant(float(np.median(finite)), 2) if finite.size else "unknown"
        facts.append(("Median standard error of an entry", median))
    facts.append(("Spread of the entries (sd over pairs)", significant(spread, 2)))
    return facts


def group_means(affinity: AffinityData, layout: Layout) -> list[tuple[str, list[str]]]:
    """Mean affinity between the groups without the diagonal; empty with one group or too many for a table."""
    if not 2 <= len(layout.spans) <= _GROUP_TABLE_UP_TO:
        return []
    matrix = affinity.matrix if affinity.prepared is None else affinity.prepared
    values = square(matrix, len(layout.names), "affinity matrix")
    np.fill_diagonal(values, np.nan)
    shown = values[np.ix_(layout.order, layout.order)]
    cuts = [slice(span.start, span.start + span.size) for span in layout.spans]
    means = np.array([[_mean(shown[rows, columns]) for columns in cuts] for rows in cuts])
    sizes = np.abs(means[np.isfinite(means)])
    scale = float(np.median(sizes)) if sizes.size else 0.0
    decimals = max(1 - math.floor(math.log10(scale)), 0) if scale else 1
    return [
        (span.name, [format_number(v, decimals, signed=True) if math.isfinite(v) else DASH for v in row])
        for span, row in zip(layout.spans, means.tolist(), strict=True)
    ]


def _mean(block: Array) -> float:
    known = block[np.isfinite(block)]
    return float(known.mean()) if known.size else math.nan


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
class TransferRow:
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


def gains_map(data: ReportData, affinity: AffinityData, layout: Layout) -> HeatMap | None:
    """Draw the gains over training alone, coloured about 0; None where they are not known."""
    if affinity.gains is None:
        return None
    values = square(affinity.gains, len(layout.names), "gains")
    names = [task.name for task in data.tasks]

    def describe(i: int, j: int) -> str:
        return f"{names[i]} with {names[j]}: {significant(values[i, j], signed=True)} over alone"

    title = "Gain of the row task over training alone, with the column task in company"
    return heat_map("gains", title, values, layout, ColourScale.diverging(values, centre=0.0), describe)


def gain_rows(data: ReportData, affinity: AffinityData, layout: Layout) -> list[GainRow]:
    """Tabulate each task's gains by company, in the order shown; none where they are not known.

    Raises
    ------
    InputError
        If there is not one score alone for every task, or none.
    """
    if affinity.gains is None:
        return []
    n = len(data.tasks)
    values = square(affinity.gains, n, "gains")
    np.fill_diagonal(values, np.nan)
    alone = _by_task(affinity.alone, n, "scores alone")
    names = [task.name for task in data.tasks]
    return [_gain_row(i, names, alone[i], values[i]) for i in layout.order]


def _gain_row(task: int, names: Sequence[str], alone: float, gains: npt.NDArray[np.float64]) -> GainRow:
    known = np.flatnonzero(np.isfinite(gains))
    ranked = known[np.argsort(gains[known])]
    mean = float(gains[known].mean()) if known.size else math.nan

    def partner(at: int) -> str:
        return f"{names[ranked[at]]} ({significant(gains[ranked[at]], signed=True)})" if known.size else DASH

    return GainRow(
        task=names[task],
        alone=significant(alone),
        mean=significant(mean, signed=True),
        kind="gain" if mean > 0 else "loss" if mean < 0 else "",
        positive=f"{int((gains[known] > 0).sum())} of {known.size}",
        best=partner(-1),
        worst=partner(0),
    )


def transfer_rows(affinity: AffinityData) -> list[TransferRow]:
    """Tabulate the F1 of predicted negative transfer by subset size."""
    return [
        TransferRow(
            size=str(score.size),
            f1=significant(score.f1, 2),
            everything=significant(_of_everything(score.prevalence), 2),
            prevalence=_percent(score.prevalence),
            tasks=f"{score.tasks:,}",
            scores=f"{score.scores:,}",
        )
        for score in affinity.transfer
    ]


def transfer_plot(affinity: AffinityData) -> LinePlot | None:
    """Draw the F1 of predicted negative transfer against the subset size (Fig. 8); None of a single size."""
    known = [score for score in affinity.transfer if math.isfinite(score.f1)]
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
    everything = [_of_everything(score.prevalence) for score in known]
    series = [
        Series("predicted", 0, [(size, score.f1) for size, score in zip(sizes, known, strict=True)]),
        Series("calling all worse", NEUTRAL, list(zip(sizes, everything, strict=True)), dashed=True),
    ]
    alt = "F1 of predicted negative transfer by subset size, beside calling every subset worse"
    return line_plot("Negative transfer", alt, series, frame)


def _of_everything(prevalence: float) -> float:
    """F1 of calling all worse: every truth is found, at the precision of the prevalence."""
    return 2 * prevalence / (1 + prevalence)


def agreement_rows(data: ReportData, affinity: AffinityData) -> list[AgreementRow]:
    """List the tasks from the least to the best predicted, those that could not be judged last.

    Raises
    ------
    InputError
        If there is not one value for every task, or none.
    """
    values = _by_task(affinity.agreement, len(data.tasks), "agreements")
    if not affinity.agreement:
        return []
    rows = sorted(zip(values, data.tasks, strict=True), key=lambda row: (math.isnan(row[0]), row[0]))
    return [AgreementRow(task.name, significant(value, 2)) for value, task in rows]


def _by_task(values: Sequence[float], n: int, name: str) -> Sequence[float]:
    if values and len(values) != n:
        raise InputError(
            f"The {name} of a report must be one number for each of its {n} tasks, got {len(values)}."
        )
    return values or [math.nan] * n


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if math.isfinite(share) else DASH
