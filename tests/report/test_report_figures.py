"""Geometry of the figures: what is drawn where is what the numbers say."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import grouping as samples

from cotune.findings.grouping import KRule
from cotune.report import palette
from cotune.report.figures.axis import Axis
from cotune.report.figures.curves import curve
from cotune.report.figures.dotplot import dot_plots
from cotune.report.figures.heatmap import ColourScale, heat_map
from cotune.report.layout import Layout, shorten

finite = st.floats(-1e6, 1e6, allow_nan=False)
MINUS = "\N{MINUS SIGN}"


def number(text):
    return float(text.replace(MINUS, "-"))


@given(low=finite, width=st.floats(1e-5, 1e6), ticks=st.integers(2, 9))
def test_tick_texts_are_the_values_they_stand_at(low, width, ticks):
    high = low + width
    axis = Axis.over(low, high, 10.0, 110.0, ticks=ticks)
    for px, text in axis.ticks:
        value = low + (px - 10) / 100 * (high - low)
        if abs(value) < 1e5:
            assert number(text) == pytest.approx(value, abs=1e-6 * max(width, abs(low), 1e-3))
        assert 10 - 1e-3 <= px <= 110 + 1e-3


@given(low=finite, width=st.floats(1e-5, 1e6), ticks=st.integers(2, 9))
def test_an_axis_has_at_least_two_ticks_and_few_more_than_asked_for(low, width, ticks):
    assert 2 <= len(Axis.over(low, low + width, 0.0, 1.0, ticks=ticks).ticks) <= max(ticks + 1, 4)


@given(low=st.integers(1, 60), more=st.integers(0, 200))
def test_whole_ticks_are_whole(low, more):
    axis = Axis.over(low - 0.5, low + more + 0.5, 0.0, 1.0, ticks=8, whole=True)
    texts = [text for _, text in axis.ticks]
    assert texts
    assert texts == [str(int(text)) for text in texts]


def test_axis_has_round_ticks_within_its_range():
    axis = Axis.over(-0.11, 0.11, 0.0, 200.0, ticks=6)
    assert [text for _, text in axis.ticks] == [f"{MINUS}0.10", f"{MINUS}0.05", "0.00", "0.05", "0.10"]


@settings(deadline=None)
@given(st.lists(finite, min_size=4, max_size=4), finite)
def test_colours_rise_with_the_value_and_stay_in_the_palette(entries, probe):
    matrix = np.array(entries).reshape(2, 2)
    scale = ColourScale.diverging(matrix)
    assert scale.low < scale.centre < scale.high
    levels = [scale.colours.index(fill) for fill in scale.fills(np.sort([probe, *entries]))]
    assert levels == sorted(levels)
    assert scale.fills(np.array([np.nan])).tolist() == [""]


def test_colours_are_centred_at_zero_where_signs_differ_and_blue_is_high():
    scale = ColourScale.diverging(np.array([[9.0, -1.0], [3.0, 9.0]]))
    assert scale.centre == 0
    shown = dict(zip(palette.classes("d"), palette.scale("d"), strict=True))
    low, middle, high = (shown[name] for name in scale.fills(np.array([-2.9, 0.0, 2.9])))
    assert low[1:3] > low[5:7]
    assert high[5:7] > high[1:3]
    assert min(middle[1:3], middle[3:5], middle[5:7]) > "e0"
    assert scale.clipped, "the diagonal is beyond the range of the pairs"


def test_colours_are_centred_at_the_median_where_all_signs_agree():
    matrix = np.array([[0.0, 5.0, 6.0], [5.0, 0.0, 7.0], [6.0, 7.0, 0.0]])
    assert ColourScale.diverging(matrix).centre == 6


def _heat(values, data):
    layout = Layout.of(data)
    return layout, heat_map(
        "k", "alt", values, layout, ColourScale.diverging(values), lambda i, j: f"{i},{j}"
    )


def test_heat_map_puts_every_pair_at_its_place():
    data = samples.language_report()
    values = np.array(data.affinity.prepared)
    layout, drawn = _heat(values, data)
    assert len(drawn.cells) == 16 * 16
    for cell in drawn.cells:
        row, column = round(cell.y / drawn.cell), round(cell.x / drawn.cell)
        i, j = layout.order[row], layout.order[column]
        assert cell.tooltip == f"{i},{j}"
        assert cell.fill == drawn.scale.fills(values)[i, j]
    assert drawn.unknown == np.isnan(values).sum() > 0
    assert [row.full for row in drawn.rows] == list(layout.names)


def test_heat_map_outlines_the_groups():
    data = samples.language_report()
    _, drawn = _heat(np.array(data.affinity.prepared), data)
    sizes = [len(group.tasks) for group in data.grouping.groups]
    assert [round(block.size / drawn.cell) for block in drawn.blocks] == sizes
    assert [round(block.start / drawn.cell) for block in drawn.blocks] == np.cumsum([0, *sizes[:-1]]).tolist()


@pytest.mark.parametrize("symmetric", [True, False])
def test_large_heat_map_covers_every_cell_once(symmetric):
    data = samples.many_tasks_report()
    values = np.array(data.affinity.prepared if symmetric else data.affinity.matrix)
    layout, drawn = _heat(values, data)
    assert not drawn.cells
    painted = np.full((100, 100), "?", dtype=object)
    for fill, path in drawn.paths:
        column = row = 0
        for across, down, length in re.findall(r"m(-?\d+) (-?\d+)h(\d+)", path):
            column, row, length = column + int(across), row + int(down), int(length)
            assert (painted[row, column : column + length] == "?").all()
            painted[row, column : column + length] = fill
            column += length
    assert drawn.mirrored == symmetric
    if symmetric:
        assert (painted[np.tril_indices(100, -1)] == "?").all()
        painted = np.where(painted == "?", painted.T, painted)
    shown = values[np.ix_(layout.order, layout.order)]
    assert (painted == drawn.scale.fills(shown)).all()
    assert len(drawn.rows) == 100
    assert drawn.width <= 965


def test_a_thousand_tasks_are_drawn_with_fewer_names():
    layout = Layout(tuple(range(1000)), tuple(f"task {i}" for i in range(1000)), ())
    values = np.random.default_rng(0).normal(size=(1000, 1000))
    drawn = heat_map("k", "alt", values, layout, ColourScale.diverging(values), lambda i, j: "")
    assert 200 < len(drawn.rows) < 500
    assert [row.full for row in drawn.stripes] == list(layout.names)
    gaps = np.diff([row.at for row in drawn.rows])
    assert (gaps > 0.85 * drawn.font).all()
    assert drawn.width <= 965


def test_dots_stand_at_their_gains_and_losses_left_of_zero():
    comparison = samples.language_report().comparison
    layout = Layout.of(samples.language_report())
    gains = {(g.arm, g.budget, g.task): (g.gain, g.sign) for g in comparison.gains}
    seen = 0
    for plot, metric in zip(dot_plots(comparison, layout), comparison.metrics, strict=True):
        rows = {row.full: row.y for row in plot.rows}
        for panel in plot.panels:
            for task in metric.tasks:
                for budget in comparison.budgets:
                    gain, sign = gains[panel.arm, budget, task]
                    (dot,) = (
                        d
                        for d in panel.dots
                        if d.tooltip.startswith(task) and f" {budget} steps" in d.tooltip
                    )
                    assert dot.x == pytest.approx(panel.axis.at(gain.mean))
                    assert (dot.x < panel.zero) == (gain.mean < 0)
                    assert abs(dot.y - rows[task]) < 10
                    assert dot.kind == (
                        "unknown" if math.isnan(gain.margin) else {1: "gain", 0: "open", -1: "loss"}[sign]
                    )
                    if dot.low is not None:
                        low = panel.axis.at(gain.mean - gain.margin)
                        assert dot.low == pytest.approx(max(low, panel.axis.start))
                        assert dot.cut_low == (low < panel.axis.start)
                    seen += 1
            assert all(panel.axis.start <= dot.x <= panel.axis.end for dot in panel.dots)
    assert seen == len([g for g in comparison.gains if g.budget is not None])


def test_budgets_have_different_marks():
    comparison = samples.language_report().comparison
    (plot, _) = dot_plots(comparison, Layout.of(samples.language_report()))
    assert len({shape for shape, _ in plot.legend}) == len(comparison.budgets)


def test_curve_breaks_at_unknown_values_and_rings_the_choice():
    rule = KRule(
        name="r", ks=(1, 2, 3, 4, 5), values=(math.nan, 2.0, 3.0, math.nan, 1.0), chosen=3, errors=(0.1,) * 5
    )
    drawn = curve(rule)
    assert [point.tooltip.split(":")[0] for point in drawn.points] == ["k = 2", "k = 3", "k = 5"]
    assert [point.chosen for point in drawn.points] == [False, True, False]
    assert len(drawn.segments) == 1
    two, three, five = drawn.points
    assert three.y < two.y < five.y, "px grow downwards"
    assert two.x < three.x < five.x
    assert two.error == pytest.approx(0.1 * (two.y - three.y))


@pytest.mark.parametrize("values", [(1.0,), (math.nan,), (0.0,)])
def test_curve_of_a_single_k(values):
    drawn = curve(KRule(name="r", ks=(4,), values=values))
    assert len(drawn.points) == int(math.isfinite(values[0]))
    assert all(math.isfinite(point.x) and math.isfinite(point.y) for point in drawn.points)


@given(name=st.text(max_size=80), limit=st.integers(3, 60))
def test_shortened_names_keep_both_ends(name, limit):
    short = shorten(name, limit)
    assert len(short) <= limit
    if len(name) <= limit:
        assert short == name
    else:
        head, tail = (
            short.split("\N{HORIZONTAL ELLIPSIS}", 1)
            if "\N{HORIZONTAL ELLIPSIS}" not in name
            else (short[0], "")
        )
        assert name.startswith(head)
        assert name.endswith(tail)
