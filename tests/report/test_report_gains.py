"""Who gains by company, and how well that was predicted, in the report."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from page import Page
from samples import grouping as samples

from cotune.exceptions import InputError
from cotune.findings.grouping import NegativeTransfer
from cotune.report import render_report

NAN = float("nan")


def with_affinity(data, **changes):
    return dataclasses.replace(data, affinity=dataclasses.replace(data.affinity, **changes))


def row_of(page, task):
    return next(row for row in page.rows if row[0] == task and len(row) == 6)


def test_gains_name_the_best_and_the_worst_partner():
    data = samples.lab_report()
    gains = np.full((9, 9), -0.25)
    gains[0, 3], gains[0, 4], gains[0, 5] = 0.75, -1.5, np.nan
    np.fill_diagonal(gains, 0.0)
    page = Page(render_report(with_affinity(data, gains=gains.tolist(), alone=(0.5,) * 9)))
    names = [task.name for task in data.tasks]
    row = row_of(page, names[0])
    assert row[1] == "0.500"
    assert row[3] == "1 of 7"
    assert row[4].startswith(names[3])
    assert row[5].startswith(names[4])
    assert "Who gains by company" in page.text
    with pytest.raises(InputError, match="scores alone of a report must be one number for each of its 9"):
        render_report(with_affinity(data, gains=gains.tolist(), alone=(0.5,)))


def test_predictions_are_judged_by_size_and_by_task():
    data = samples.lab_report()
    transfer = (
        NegativeTransfer(size=3, f1=0.81, tasks=9, scores=120, prevalence=0.25),
        NegativeTransfer(size=5, f1=NAN, tasks=0, scores=0, prevalence=NAN),
    )
    agreement = (0.9, -0.2, NAN, *(0.5,) * 6)
    data = with_affinity(
        data,
        negative_transfer=transfer,
        negative_transfer_predictor="a surrogate",
        agreement=agreement,
        agreement_measure="rank",
    )
    page = Page(render_report(data))
    assert ["3", "0.81", "0.40", "25 %", "9", "120"] in page.rows
    assert "Predicted by a surrogate" in page.text
    names = [task.name for task in data.tasks]
    judged = [row[0] for row in page.rows if len(row) == 2 and row[0] in names]
    assert judged[0] == names[1]
    assert judged[-1] == names[2]


def test_the_f1_of_several_sizes_is_drawn():
    def page(*f1: float) -> str:
        sizes = [
            NegativeTransfer(size=2 + i, f1=value, tasks=9, scores=120, prevalence=0.25)
            for i, value in enumerate(f1)
        ]
        return render_report(
            with_affinity(samples.lab_report(), negative_transfer=sizes, negative_transfer_predictor="it")
        )

    drawn = page(0.9, 0.7, NAN, 0.5)
    assert "F1 of predicted negative transfer by subset size" in drawn
    assert "calling all worse" in drawn
    assert "by subset size" not in page(0.9, NAN)


def test_a_report_without_them_says_nothing_of_them():
    page = Page(render_report(samples.lab_report()))
    for heading in ("Who gains by company", "Predicting who loses", "How far predictions agree"):
        assert heading not in page.text


def test_very_many_pairs_are_drawn_as_means():
    from cotune.report.figures.heatmap import ColourScale, heat_map
    from cotune.report.layout import Layout

    n = 600
    values = np.kron(np.eye(2), np.ones((n // 2, n // 2)))
    values[:3, :3] = np.nan
    layout = Layout(tuple(range(n)), tuple(f"t{i}" for i in range(n)), ())
    drawn = heat_map("k", "title", values, layout, ColourScale.diverging(values), lambda i, j: "")
    assert drawn.merged == 3
    assert drawn.square == pytest.approx(drawn.side / 200)
    assert drawn.unknown == 9
    assert sum(path.count("M") for _, path in drawn.paths) <= 200 * 3
    assert any(fill == "" for fill, _ in drawn.paths)
