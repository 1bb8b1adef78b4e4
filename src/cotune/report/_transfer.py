"""What the report shows of transfer: who gains or loses by company, and how well that was predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cotune.exceptions import InputError
from cotune.report._affinity import square
from cotune.report._data import AffinityData, ReportData
from cotune.report._heatmap import ColourScale, HeatMap, heat_map
from cotune.report._layout import DASH, Layout, significant
from cotune.report._retention_lines import NEUTRAL, Frame, LinePlot, Series, line_plot


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
