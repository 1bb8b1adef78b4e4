"""What the section on affinity shows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cotune.evaluation.comparison import format_number
from cotune.exceptions import InputError
from cotune.report._data import AffinityData, Matrix, ReportData
from cotune.report._heatmap import ColourScale, HeatMap, heat_map
from cotune.report._layout import DASH, Layout, count, significant

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
