"""What the section on affinity shows: the matrices, how well they were sampled, means between groups."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cotune.findings.grouping import (
    AffinityData,
    GroupingFindings,
    MatrixRows,
    means_between,
    sampling,
    square,
)
from cotune.findings.wording import DASH, count, format_number, significant
from cotune.report.figures.heatmap import ColourScale, HeatMap, heat_map
from cotune.report.layout import Layout

Array = npt.NDArray[np.float64]

_BOTH_UP_TO = 100
"""Tasks up to which the matrix is drawn before preparation, too: a page shall not weigh megabytes."""
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

    clustered = _diverging("prepared", "Affinity as it was clustered", prepared, layout, describe_both)
    if n > _BOTH_UP_TO:
        return [clustered]
    return [
        clustered,
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
