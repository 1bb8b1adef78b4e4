"""The page of a retention report: well-formed, self-contained, escaped, complete and the same every time."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from page import Page
from samples.retention import KEPT, RATES, STEPS, TASKS, retention_report

from cotune.evaluation.format_specialisation import ModuleAlignment
from cotune.findings.retention import retention_findings
from cotune.findings.wording import DASH
from cotune.report import render_report, write_report
from cotune.report.figures.lines import MARKERS, Frame, Series, legend_of, line_plot
from cotune.report.retention_figures import (
    gradient_cosines,
    gradient_norms,
    label_shares,
    learning_curves,
    learning_rate_sweep,
    trade_off,
)

GEOMETRY = ("x", "y", "d", "cx", "cy", "width", "height", "viewBox", "points")


@pytest.fixture(scope="module")
def data():
    return retention_report()


@pytest.fixture(scope="module")
def findings(data):
    return retention_findings(data)


@pytest.fixture(scope="module")
def scores(findings):
    return findings.scores


@pytest.fixture(scope="module")
def page(data):
    return Page(render_report(retention_findings(data)))


def test_nothing_is_fetched_or_run(page):
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "use", "image", "base", "form"}
    assert not re.search(r"https?://|@import|javascript:|data:|url\(", page.source)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name == "src" for name in attributes), (tag, attributes)


def test_every_link_has_its_target_once(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for attributes in page.find("a")} == set(ids)


def test_everything_appears(data, page):
    verdict = retention_findings(data).verdict
    for text in (verdict.headline, verdict.sentence, *verdict.remarks, *data.notes, *TASKS, *KEPT):
        assert text in page.text
    for failure in data.failures:
        assert failure.error in page.text
    for name, value in data.provenance:
        assert name in page.text
        assert value in page.text
    assert "The target's labels are T, F." in page.text
    assert ["full", "6", "14 s", "13 s", "120,000", DASH, "612 kB"] in page.rows


def test_figures_and_tables_can_be_read_aloud(page):
    figures = page.find("svg")
    named = [f for f in figures if f.get("role") == "img"]
    assert len(named) > 20
    assert all(f["aria-label"] for f in named)
    assert all(f.get("aria-hidden") == "true" for f in figures if f not in named)
    assert all(header.get("scope") in ("col", "row", "colgroup") for header in page.find("th"))


def test_no_number_leaks_as_nan(page):
    assert not re.search(r"\bnan\b|\binf\b|None", page.text)
    geometry = " ".join(str(a[key]) for _, a in page.tags for key in GEOMETRY if key in a)
    assert not re.search("nan|inf", geometry)


def test_figures_fit_the_page(page):
    assert all(float(figure["width"]) <= 960 for figure in page.find("svg"))


def test_the_page_is_the_same_in_another_process(data, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from samples.retention import retention_report; "
        "from cotune.findings.retention import retention_findings as f; "
        "from cotune.report import render_report as r; sys.stdout.write(r(f(retention_report())))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parents[1])],
        env={**os.environ, "PYTHONHASHSEED": "123", "PYTHONIOENCODING": "utf-8"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert other.stdout.decode() == render_report(retention_findings(data))


def test_names_are_escaped_everywhere():
    evil = "<b>&\"'{{ 7*7 }}</svg><script>alert(1)</script>"
    data = retention_report(seeds=(0,), methods=("full",), rates=RATES[:1])
    data = replace(
        data,
        title=evil,
        notes=(evil,),
        labels=(evil, "F"),
        methods=(evil,),
        threshold_rule=evil,
        provenance=((evil, evil),),
        runs=tuple(replace(run, method=evil) for run in data.runs),
        evaluation=tuple(replace(task, metric=evil, notes=(evil,)) for task in data.evaluation),
    )
    page = Page(render_report(retention_findings(data)))
    assert not page.find("script")
    assert "<script" not in page.source
    assert page.text.count(evil) >= 12


@pytest.mark.parametrize(
    "change",
    [
        {"runs": (), "failures": (), "labels": (), "provenance": (), "threshold": None},
        {"seeds": (0,), "rates": RATES[:1], "threshold": None},
        {"methods": ("prompt",), "seeds": (1,)},
        {"methods": tuple(KEPT), "labels": ()},
    ],
)
def test_parts_may_be_missing(change):
    data = retention_report(**change)
    page = Page(render_report(retention_findings(data)))
    assert data.title in page.text
    assert ("No cost was recorded." in page.text) == (not data.runs)
    assert ("At equal target score" in page.text) == (data.threshold is not None)


def test_write_replaces_the_old_report(findings, tmp_path):
    target = tmp_path / "report.html"
    target.write_text("old")
    assert write_report(findings, target) == target
    assert target.read_text(encoding="utf-8") == render_report(findings)
    assert list(tmp_path.iterdir()) == [target]


def test_curves_are_of_the_last_stage(scores):
    plots = learning_curves(scores, RATES[0])
    assert [plot.title for plot in plots] == list(KEPT)
    promot = plots[2]
    assert [key.name for key in legend_of(plots)] == [
        "1-shot, pretrained",
        "4-shot, pretrained",
        "target",
        "1-shot in context",
        "4-shot in context",
    ]
    assert sum(mark.shape == "circle" for mark in promot.marks) == len(STEPS)
    assert sum(line.faint for line in promot.lines) == 3 * 3


def test_label_shares_leave_out_tasks_with_these_labels(scores):
    plots = label_shares(scores, RATES[0])
    assert [plot.title for plot in plots] == ["1-shot prompts", "4-shot prompts"]
    full = [mark.tooltip for mark in plots[1].marks if mark.tooltip.startswith("full, step 160")]
    assert full == ["full, step 160: 49.5, mean of 3 seeds"]


def test_gradients_are_shown_for_methods_that_have_them(scores):
    cosines, norms = gradient_cosines(scores, RATES[0]), gradient_norms(scores, RATES[0])
    assert [plot.title for plot in cosines] == [m for m in KEPT if m != "prompt"]
    assert [key.name for key in legend_of(cosines)] == ["mlp", "query", "key", "value"]
    assert {text for _, text in norms[0].y.ticks} == {"0.001", "0.01", "0.1", "1"}
    assert sum(line.dashed and not line.faint for line in norms[0].lines) == 4


def test_gradients_of_a_fused_matrix_and_of_zero():
    data = retention_report(methods=("full",), rates=RATES[:1], seeds=(0,))
    parts = (
        ModuleAlignment(group="query_key_value", cosine=0.5, full_norm=1.0, format_norm=2.0),
        ModuleAlignment(group="mlp", cosine=float("nan"), full_norm=0.0, format_norm=0.0),
    )
    checkpoints = tuple(replace(c, alignment=parts) for c in data.runs[0].checkpoints)
    data = replace(data, runs=(replace(data.runs[0], checkpoints=checkpoints),))
    assert [k.name for k in gradient_cosines(retention_findings(data).scores, RATES[0])[0].legend] == [
        "query, key, value"
    ]
    assert not re.search(r"\bnan\b", Page(render_report(retention_findings(data))).text)


def test_trade_off_has_a_mark_for_each_checkpoint_of_the_last_stage(scores, data):
    plot = trade_off(scores, 4)
    assert len(plot.marks) == len(data.runs) * len(STEPS)
    assert sum(mark.hollow for mark in plot.marks) == len(plot.marks) / 2
    assert [key.name for key in legend_of([plot])] == [*KEPT, "pretrained"]
    assert sum("(best)" in mark.tooltip for mark in plot.marks) == len(data.runs)


def test_a_sweep_needs_two_learning_rates(findings):
    plot = learning_rate_sweep(findings, "equal")
    assert [text for _, text in plot.x.ticks] == ["0.0003", "0.001"]
    assert learning_rate_sweep(retention_findings(retention_report(rates=RATES[:1])), "equal") is None


def test_a_line_breaks_where_a_value_is_missing():
    nan = float("nan")
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, nan), (3.0, 1.0), (4.0, 2.0), (5.0, nan), (6.0, 1.0)]
    frame = Frame(x_label="x", y_label="y", x_range=(0.0, 6.0), y_range=(0.0, 2.0))
    plot = line_plot("", "", [Series("a", len(MARKERS), points)], frame)
    assert len(plot.lines) == 2
    assert len(plot.marks) == 5
    assert {mark.shape for mark in plot.marks} == {MARKERS[0]}
