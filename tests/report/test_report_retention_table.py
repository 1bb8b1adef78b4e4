"""The paper's table of a retention study: which checkpoints, which extremes, which units, which remarks."""

from dataclasses import replace

import numpy as np
from samples.retention import RATES, TABLE_2_METHODS, TASKS, retention_report, table_2_report

from cotune.findings.retention import retention_findings
from cotune.findings.wording import DASH
from cotune.report.retention_table import retention_table


def table_of(data, **options):
    return retention_table(retention_findings(data), **options)


def row_of(table, name):
    return next(row for row in table.rows if row.name == name)


def texts(row):
    return [[cell.text for cell in column] for column in row.cells]


def test_the_paper_s_table_and_its_normalised_averages():
    table = table_of(table_2_report(), at="best")
    assert table.columns == ("pretrained", *TABLE_2_METHODS)
    assert texts(row_of(table, "RTE")) == [[DASH], ["92.1"], ["92.8"], ["93.9"]]
    assert texts(row_of(table, "average")) == [["17.5"], ["15.4"], ["20.1"], ["22.3"]]
    assert [row.name for row in table.rows][:2] == ["RTE", "CB"]
    kinds = [column[0].kind for column in row_of(table, "CB").cells]
    assert kinds == ["low", "", "", "high"]
    assert [column[0].kind for column in row_of(table, "XSum").cells] == ["", "low", "high", ""]


def test_the_table_shows_the_chosen_checkpoints():
    data = retention_report(methods=("full", "promot"))
    equal, best = (table_of(data, at=at) for at in ("equal", "best"))
    assert equal.learning_rate == RATES[0]
    assert equal.shots == (1, 4)
    runs = [run for run in data.runs if run.method == "promot" and run.learning_rate == RATES[0]]
    for table, position in ((equal, "equal"), (best, "best")):
        chosen = [run.checkpoints[getattr(run, position)] for run in runs]
        target = np.mean([c.targets[0].test for c in chosen])
        sort = np.mean([v.draws for c in chosen for v in c.in_context if (v.task, v.shots) == ("sort", 4)])
        assert row_of(table, "more").cells[2][0].text == f"{100 * target:.1f}"
        assert row_of(table, "sort").cells[2][1].text == f"{100 * sort:.1f}"
    assert table_of(data, learning_rate=RATES[1]) != equal


def test_methods_that_miss_the_target_score_are_told():
    data = retention_report(methods=("full", "promot"), rates=RATES[:1])
    runs = [replace(run, equal=None) if run.method == "full" or run.seed == 2 else run for run in data.runs]
    data = replace(data, runs=tuple(runs))
    table = table_of(data)
    assert table.columns == ("pretrained", "promot")
    assert table.remarks == (
        "full reached the target score in no run.",
        "promot reached the target score in 2 of 3 runs.",
    )
    assert table_of(data, at="best").columns == ("pretrained", "full", "promot")


def test_losses_are_shown_in_their_own_units_and_left_out_of_averages():
    data = retention_report(methods=("full",), rates=RATES[:1])
    tasks = tuple(replace(t, higher_is_better=t.name != "sort") for t in data.evaluation)
    table = table_of(replace(data, evaluation=tasks))
    assert table.rows[-2].name == "average of 3 of 4 tasks"
    assert row_of(table, "sort").cells[0][1].text == f"{np.mean(_draws(data.pretrained, 'sort', 4)):.3f}"
    three = np.mean([_draws(data.pretrained, name, 4) for name in TASKS if name != "sort"])
    assert table.rows[-2].cells[0][1].text == f"{100 * three:.1f}"


def _draws(checkpoint, task, shots):
    return next(v.draws for v in checkpoint.in_context if (v.task, v.shots) == (task, shots))
