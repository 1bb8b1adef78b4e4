"""From the data of the function classes' report to its page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cotune.findings.functions import FunctionsFindings, GroupsRow, LawsSection
from cotune.findings.grouping import less_effects
from cotune.findings.wording import significant
from cotune.report.figures.heatmap import ColourScale, HeatMap, heat_map
from cotune.report.figures.lines import NEUTRAL, Frame, LinePlot, Series, legend_of, line_plot, value_range
from cotune.report.layout import Layout, Span

TEMPLATE = "functions.html"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LawsView:
    """What the page shows of a set of laws."""

    section: LawsSection
    maps: tuple[HeatMap, HeatMap]
    eigen: LinePlot
    positions: LinePlot
    rows: list[tuple[str, str, list[str], str]]
    first_rows: list[tuple[str, str, list[str], str]]


def context(data: FunctionsFindings) -> dict[str, object]:
    """Return what the template shows; see :func:`cotune.report.render_report`."""
    return {
        "data": data,
        "laws": [_view(section, number) for number, section in enumerate(data.laws)],
        "curves": _curves(data),
        "legend_of": legend_of,
    }


def _view(section: LawsSection, number: int) -> LawsView:
    return LawsView(
        section,
        _maps(section, number),
        _eigenvectors(section),
        _positions(section),
        [_row(row) for row in section.rows],
        [_row(row) for row in section.first_position],
    )


def _row(row: GroupsRow) -> tuple[str, str, list[str], str]:
    """Return algorithm, matrix, the group of every class as a letter, and the agreement by seed."""
    letters = [chr(ord("A") + label) for label in row.labels]
    return row.algorithm, row.matrix, letters, ", ".join(f"{a + 0.0:.2f}" for a in row.agreements)


def _maps(section: LawsSection, number: int) -> tuple[HeatMap, HeatMap]:
    """Draw the affinity as measured, and less the effects of rows and columns, which no grouping sees."""
    T = np.array(section.affinity, dtype=float)
    layout = _by_type(section)
    raw, centred = (
        heat_map(
            f"{name}-{number}",
            f"{section.title}: affinity {words}",
            values,
            layout,
            ColourScale.diverging(values),
            _tooltip(section, values),
        )
        for name, words, values in (
            ("raw", "as measured", T),
            ("less", "less row and column effects", less_effects(T)),
        )
    )
    return raw, centred


def _tooltip(section: LawsSection, values: Array) -> Callable[[int, int], str]:
    def tell(i: int, j: int) -> str:
        return f"{section.tasks[i]} with {section.tasks[j]}: {significant(values[i, j])}"

    return tell


def _by_type(section: LawsSection) -> Layout:
    """Order the classes type by type."""
    types = list(dict.fromkeys(section.families))
    order = sorted(range(len(section.tasks)), key=lambda i: types.index(section.families[i]))
    spans, start = [], 0
    for family in types:
        size = section.families.count(family)
        spans.append(Span(family, start, size))
        start += size
    return Layout(tuple(order), tuple(section.tasks[i] for i in order), tuple(spans))


def _eigenvectors(section: LawsSection) -> LinePlot:
    types = list(dict.fromkeys(section.families))
    places = list(zip(section.tasks, section.families, section.eigenvectors, strict=True))
    series = [
        Series(
            family,
            style,
            [place for _, own, place in places if own == family],
            joined=False,
            tooltips=[task for task, own, _ in places if own == family],
        )
        for style, family in enumerate(types)
    ]
    x, y = zip(*section.eigenvectors, strict=True)
    frame = Frame(
        x_label="2nd eigenvector", y_label="3rd eigenvector", x_range=value_range(x), y_range=value_range(y)
    )
    alt = f"{section.title}: classes in the plane of the second and third eigenvector of the affinity"
    return line_plot("", alt, series, frame)


def _positions(section: LawsSection) -> LinePlot:
    series = [
        Series(family, style, _points(errors))
        for style, (family, errors) in enumerate(section.by_position.items())
    ]
    alt = f"{section.title}: squared error by the number of examples, by type"
    return line_plot("", alt, series, _frame(list(section.by_position.values())))


def _curves(data: FunctionsFindings) -> list[LinePlot]:
    """Draw one plot a target: alone, and with each of the other types."""
    targets = list(dict.fromkeys(target for target, _ in data.curves))
    frame = _frame([errors for seeds in data.curves.values() for errors in seeds])
    plots = []
    for target in targets:
        series = []
        for number, company in enumerate(targets):
            alone = company == target
            name, style = ("trained alone", NEUTRAL) if alone else (f"with {company}", number)
            seeds = data.curves[target, company]
            series += [Series(name, style, _points(errors), faint=True) for errors in seeds]
            series.append(Series(name, style, _points(np.mean(seeds, axis=0).tolist()), dashed=alone))
        alt = f"Test error on {target} functions by the number of examples, trained alone and in company"
        plots.append(line_plot(f"{target} functions", alt, series, frame))
    return plots


def _frame(curves: Sequence[Sequence[float]]) -> Frame:
    values = [value for curve in curves for value in curve]
    last = max(len(curve) for curve in curves) - 1
    return Frame(
        x_label="examples seen",
        y_label="squared error",
        x_range=(0.0, float(last)),
        y_range=value_range(values, low=0.0),
    )


def _points(errors: Sequence[float]) -> list[tuple[float, float]]:
    return [(float(seen), float(error)) for seen, error in enumerate(errors)]
