"""The whole page: well-formed, self-contained, escaped, complete and the same every time."""

import base64
import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from page import Page
from samples import grouping as samples

from cotune.exceptions import InputError
from cotune.findings.comparison import arm_words, compare
from cotune.findings.grouping import (
    AffinityData,
    Baseline,
    GroupingData,
    GroupingFindings,
    GroupRow,
    ReferenceLabels,
    TaskRow,
    headline,
)
from cotune.findings.runs import FailedRun, RunKind
from cotune.report import render_report, write_report
from cotune.report.order import least_gains
from cotune.tasks import SampleAnswer

MINUS = "\N{MINUS SIGN}"
SAMPLES = {
    "lab": samples.lab_report,
    "language": samples.language_report,
    "many": samples.many_tasks_report,
    "two": samples.two_tasks_report,
    "six": lambda: samples.whole_report(6, 2),
    "two hundred": lambda: samples.whole_report(200, 12),
}


@pytest.fixture(scope="module")
def pages():
    made = {name: build() for name, build in SAMPLES.items()}
    return {name: (data, Page(render_report(data))) for name, data in made.items()}


@pytest.fixture(params=SAMPLES)
def sample(request, pages):
    return pages[request.param]


def test_nothing_is_fetched_or_run(sample):
    _, page = sample
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "image", "base", "form"}
    assert not re.search(r"https?://|@import|javascript:|data:", page.source)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name == "src" for name in attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#")
    assert set(re.findall(r"url\(([^)]*)\)", page.source)) <= {
        f"#hatch-{key}" for key in ("prepared", "affinity", "together", "gains")
    }


def test_the_browser_is_told_to_fetch_and_run_nothing(sample):
    _, page = sample
    (policy,) = page.find("meta", **{"http-equiv": "Content-Security-Policy"})
    (style,) = re.findall(r"<style>(.*?)</style>", page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert not [attributes for _, attributes in page.tags if "style" in attributes], "which it would refuse"
    assert page.source.index("Content-Security-Policy") < page.source.index("<style>")


def test_every_link_and_pattern_has_its_target_once(sample):
    _, page = sample
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for attributes in page.find("a")} <= set(ids)
    assert {url[1:] for url in re.findall(r"url\(([^)]*)\)", page.source)} <= set(ids)
    assert {attributes["href"][1:] for attributes in page.find("use")} <= set(ids)


def test_every_task_group_arm_and_metric_appears(sample):
    data, page = sample
    for task in data.tasks:
        assert page.text.count(task.name) >= 3
    for group in data.grouping.groups:
        assert group.name in page.text
    if data.comparison:
        for arm in data.comparison.arms:
            assert any(arm_words(arm) in cell for row in page.rows for cell in row)
        for metric in data.comparison.metrics:
            assert metric.name in page.text
    for name, value in data.provenance:
        assert name in page.text
        assert value in page.text


def test_figures_and_tables_can_be_read_aloud(sample):
    _, page = sample
    figures = page.find("svg")
    assert figures
    assert all(figure["role"] == "img" and figure["aria-label"] for figure in figures)
    assert all(header.get("scope") in ("col", "row") for header in page.find("th"))
    assert page.find("html", lang="en")


def test_no_number_leaks_as_nan(sample):
    _, page = sample
    assert not re.search(r"\bnan\b|\binf\b|None", page.text)
    geometry = " ".join(
        str(value)
        for tag, attributes in page.tags
        if tag in ("rect", "path", "circle", "text", "polyline", "svg", "g")
        for key, value in attributes.items()
        if key in ("x", "y", "d", "cx", "cy", "width", "height", "viewBox", "points", "transform")
    )
    assert "nan" not in geometry
    assert "inf" not in geometry


def test_the_answer_comes_first_with_margin_and_remarks(pages):
    data, page = pages["language"]
    verdict = data.comparison.overall
    start = page.text.index("Train in these groups.")
    assert start < page.text.index(verdict.sentence) < page.text.index("Affinity as it was clustered")
    assert all(remark in page.text for remark in verdict.remarks)
    assert all(note in page.text for note in data.notes)


def test_the_answer_without_a_comparison_says_so(pages):
    _, page = pages["lab"]
    assert "3 groups of tasks, by the density of affinities; not compared by training." in page.text
    assert "whether it pays is not known" in page.text
    assert "proved optimal among all partitions into 3" in page.text


def test_the_verdict_is_said_once(pages):
    for name in ("language", "six", "two hundred"):
        data, page = pages[name]
        assert page.text.count(data.comparison.overall.answer) == 1 + sum(
            verdict.answer == data.comparison.overall.answer for verdict in data.comparison.verdicts
        )
        assert page.text.count(data.comparison.overall.reason) == 1
        needs = data.comparison.overall.needs
        assert needs is None or needs.text not in data.comparison.overall.reason


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([0, 0, 0], "All tasks together: "),
        ([0, 1, 2], "Each task alone: "),
        ([0, 0, 1], "2 groups of tasks: "),
    ],
)
def test_the_answer_names_what_the_groups_come_to(groups, expected):
    data = samples.whole_report(6, 2)
    members = [
        [data.tasks[2 * i + j].name for i, of in enumerate(groups) if of == g for j in (0, 1)]
        for g in {*groups}
    ]
    if expected.startswith("Each"):
        members = [[task.name] for task in data.tasks]
    rows = tuple(
        GroupRow(name=f"group {i}", tasks=tuple(names), density=0.0) for i, names in enumerate(members)
    )
    grouped = dataclasses.replace(data.grouping, groups=rows, density_labels=(0,) * 6)
    assert headline(dataclasses.replace(data, comparison=None, grouping=grouped)).startswith(expected)


def test_instructions_and_examples_stand_beside_their_tasks(pages):
    data, page = pages["six"]
    for task in data.tasks:
        beginning = task.instruction[:80]
        assert page.text.count(f"{task.name}{beginning}") >= 2, "under the groups and in the table of tasks"
        assert task.example[0] in page.text
    assert "No answers are stored" not in page.text
    silent = tuple(dataclasses.replace(task, answers=()) for task in data.tasks)
    assert "No answers are stored" in render_report(dataclasses.replace(data, tasks=silent))
    assert "are stored" not in pages["lab"][1].text, "which has no answers"


def test_answers_are_folded_escaped_and_bounded(pages):
    data, page = pages["six"]
    assert "A few answers to every task, before and after training in its group" in page.text
    said = [row for row in page.rows if row[1].startswith("Premise ")]
    assert len(said) == 18
    assert [row[2:] for row in said] == [["entailment", "no", data.tasks[0].answers[0].after]] * 18
    assert "An answer to each of the 40 of 200 tasks that lose most" in pages["two hundred"][1].text
    many = [row for row in pages["two hundred"][1].rows if row[1].startswith("Premise ")]
    least = least_gains(pages["two hundred"][0].comparison)
    assert [row[0] for row in many] == sorted(least, key=least.get)[:40]
    assert max(len(cell) for row in many for cell in row) <= 102
    hostile = SampleAnswer("<img src=x onerror=alert(1)>", "&amp;", "", "x" * 10_000)
    task = dataclasses.replace(data.tasks[0], answers=(hostile,))
    shown = Page(render_report(dataclasses.replace(data, tasks=(task, *data.tasks[1:]))))
    assert not shown.find("img")
    (row,) = [row for row in shown.rows if row[1] == hostile.input]
    assert row[2:4] == ["&amp;", "\N{EN DASH}"]
    assert len(row[4]) <= 302
    assert hostile.to_dict()["after"] == "x" * 300 + " …"


def test_of_many_tasks_those_that_lose_most_come_first_and_tables_are_folded(pages):
    data, page = pages["two hundred"]
    assert len(page.source.encode()) < 1.5e6
    assert not [attributes for attributes in page.find("details") if "open" in attributes]
    first = data.grouping.groups[0].tasks
    assert f"{first[0]} and {len(first) - 1} more" in page.text, "groups are folded"
    least = least_gains(data.comparison)
    for metric in data.comparison.metrics:
        shown = [row[0] for row in page.rows if row[0] in metric.tasks and " ± " in row[1]]
        wanted = sorted(metric.tasks, key=lambda task: least[task])
        assert shown == wanted * len(data.comparison.budgets)
    assert f"the 40 of {len(metric.tasks)} tasks that lose most" in page.text
    predicted = [row[0] for row in page.rows if len(row) == 3 and row[1].endswith(" %")]
    order = {task.name: of.value for task, of in zip(data.tasks, data.grouping.gain.by_task, strict=True)}
    assert predicted == sorted(order, key=order.get)
    assert [attributes for attributes in pages["six"][1].find("details") if "open" in attributes]


def test_every_label_of_many_tasks_can_be_read(pages):
    data, page = pages["two hundred"]
    maps = re.findall(r"<svg class=\"large\".*?</svg>", page.source, re.DOTALL)
    maps = [drawn for drawn in maps if 'class="under"' in drawn]
    assert len(maps) == 3
    for drawn in maps:
        for task in data.tasks:
            assert drawn.count(f"{task.name}, group") == 1, "under the pointer"
            assert drawn.count(f">{task.name}<") == 1, "zoomed in"


def test_a_loss_is_shown_as_plainly_as_a_gain(pages):
    data, page = pages["language"]
    lost = [g for g in data.comparison.gains if g.sign < 0 and g.budget == 400]
    assert lost
    for gain in lost:
        place = 1 + data.comparison.arms.index(gain.arm)
        shown = [row[place] for row in page.rows if row[0] == gain.task and len(row) > place]
        assert any(re.search(rf"▼ {MINUS}{abs(gain.gain.mean):.3f}"[:-1], cell) for cell in shown), (
            gain,
            shown,
        )
    assert {word for a in page.find("path") for word in a.get("class", "").split()} >= {
        "dot-loss",
        "dot-gain",
    }
    assert "-0." not in page.text, "negative numbers have a real minus sign"


def test_tables_show_the_numbers_of_the_comparison(pages):
    data, page = pages["language"]
    for mean in data.comparison.means:
        column = 1 + data.comparison.arms.index(mean.arm)
        wanted = f"{mean.score.mean:.3f} ± "
        assert any(row[0] == mean.task and wanted in row[column] for row in page.rows if len(row) == 5)


def test_missing_pairs_and_failed_runs_are_told(pages):
    data, page = pages["language"]
    assert data.failures[0].error in page.text
    assert all(note in page.text for note in data.comparison.notes)
    assert "± ?" in page.text


def test_totals_of_runs_add_up():
    data = dataclasses.replace(
        samples.two_tasks_report(),
        runs=(
            RunKind(
                kind="a", done=1200, reused=1, failed=0, cpu_seconds=30.0, wall_seconds=float("nan"), tokens=5
            ),
            RunKind(kind="b", done=34, reused=0, failed=2, cpu_seconds=45.0, wall_seconds=100.0),
        ),
        failures=(FailedRun(kind="b", name="x", error="the loss is not finite."),),
    )
    page = Page(render_report(data))
    assert ["all runs", "1,234", "1", "2", "1 min 15 s", "1 min 40 s", "5"] in page.rows
    assert ["x", "b", "the loss is not finite."] in page.rows


def test_names_are_escaped_everywhere():
    evil = "<b>&\"'{{ 7*7 }}</svg><script>alert(1)</script>"
    data = samples.two_tasks_report(name=evil)
    data = dataclasses.replace(
        data,
        title=evil,
        notes=(evil,),
        provenance=((evil, evil),),
        tasks=tuple(dataclasses.replace(t, category=evil, notes=(evil,), metric=evil) for t in data.tasks),
        reference=ReferenceLabels(name=evil, labels=(evil, "x")),
        failures=(FailedRun(kind=evil, name=evil, error=evil),),
        grouping=dataclasses.replace(
            data.grouping,
            groups=(GroupRow(name=evil, tasks=data.grouping.groups[0].tasks, density=0.1),),
            notes=(evil,),
            method=evil,
            k_rule=evil,
        ),
    )
    page = Page(render_report(data))
    assert not page.find("b") or all(not attributes for attributes in page.find("b"))
    assert not page.find("script")
    assert "49" not in page.text.replace("0.49", "")
    assert page.text.count(evil) >= 12
    assert "<script" not in page.source


def test_a_name_of_any_length_keeps_the_figures_inside_the_page():
    name = "task_" + "verylongname" * 30
    page = Page(render_report(samples.two_tasks_report(name=name)))
    assert name in page.text
    assert all(float(figure["width"]) <= 1000 for figure in page.find("svg"))


def test_the_page_is_the_same_in_another_process(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from samples import grouping as s; "
        "from cotune.report import render_report; sys.stdout.write(render_report(s.language_report()))"
    )
    here = str(Path(__file__).parents[1])
    other = subprocess.run(
        [sys.executable, "-c", code, here],
        env={**os.environ, "PYTHONHASHSEED": "123", "PYTHONIOENCODING": "utf-8"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert other.stdout.decode() == render_report(samples.language_report())


def test_filling_in_a_report_loads_no_drawing_library():
    heavy = "{'matplotlib', 'jinja2', 'torch', 'sklearn'}"
    code = f"import cotune.report, sys; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "change",
    [
        {"affinity": None},
        {"comparison": None},
        {"grouping": None},
        {"affinity": None, "grouping": None, "comparison": None},
        {"affinity": AffinityData(matrix=[[float("nan")] * 2] * 2)},
        {"affinity": AffinityData(matrix=[[3.0, 3.0], [3.0, 3.0]])},
    ],
)
def test_parts_may_be_missing_or_empty(change):
    data = dataclasses.replace(samples.two_tasks_report(), **change)
    page = Page(render_report(data))
    assert "copy" in page.text
    for part, words in (("grouping", "were not grouped"), ("affinity", "Affinity was not estimated")):
        assert (words in page.text) == (getattr(data, part) is None)


def test_one_task_makes_a_report():
    data = GroupingFindings(
        title="One",
        date="2026-11-21",
        tasks=(TaskRow(name="only", metric="f1", train=1, validation=1, test=1),),
        affinity=AffinityData(matrix=[[0.5]], counts=[[1]], stderr=[[0.1]]),
        grouping=GroupingData(
            groups=(GroupRow(name="group 1", tasks=("only",), density=0.5),), objective=0.5
        ),
    )
    page = Page(render_report(data))
    assert "The only task, only, is a group of its own." in page.text


def test_tasks_are_shown_group_by_group(pages):
    data, page = pages["language"]
    order = [task for group in data.grouping.groups for task in group.tasks]
    accuracy = set(data.comparison.metrics[0].tasks)
    table = [row[0] for row in page.rows if row[0] in accuracy and " ± " in row[1]]
    wanted = [name for name in order if name in accuracy]
    assert table == wanted * len(data.comparison.budgets)


def test_write_replaces_the_old_report_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "report.html"
    target.write_text("old")
    data = samples.two_tasks_report()
    assert write_report(data, target) == target
    assert target.read_text(encoding="utf-8") == render_report(data)
    assert list(tmp_path.iterdir()) == [target]


def test_a_report_that_cannot_be_made_keeps_the_old_one(tmp_path):
    target = tmp_path / "report.html"
    target.write_text("old")
    broken = dataclasses.replace(samples.two_tasks_report(), tasks=())
    with pytest.raises(InputError, match="has no task"):
        write_report(broken, str(target))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def _two(**change):
    return dataclasses.replace(samples.two_tasks_report(), **change)


def _grouped(**change):
    return _two(grouping=dataclasses.replace(samples.two_tasks_report().grouping, **change))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_two(tasks=samples.two_tasks_report().tasks * 2), "lists task 'copy' twice"),
        (_grouped(groups=(GroupRow(name="g", tasks=("copy",), density=0.0),)), "exactly once.*'reverse'"),
        (
            _grouped(groups=(GroupRow(name="g", tasks=("copy", "reverse", "copy"), density=0.0),)),
            "exactly once.*'copy'",
        ),
        (
            _two(affinity=AffinityData(matrix=np.zeros((3, 3)).tolist())),
            "affinity matrix .* 2 tasks, got 3 rows",
        ),
        (_two(affinity=AffinityData(matrix=[[0.0, 1.0], [2.0]])), r"2 tasks, got 2 rows of \[1, 2\] columns"),
        (_grouped(co_assignment=[[1.0]]), "co-assignment matrix"),
        (
            _grouped(baselines=(Baseline(name="spectral", labels=(0,), objective=0.0),)),
            "labels of 'spectral'",
        ),
        (_two(reference=ReferenceLabels(name="types", labels=("a", "b", "c"))), "labels of 'types'"),
        (
            _two(
                comparison=compare(
                    samples.scores(["x"], np.random.default_rng(0), metric=lambda i: ("f1", True)),
                    samples.ARMS,
                )
            ),
            "a task the report lacks: 'x'",
        ),
    ],
)
def test_parts_that_contradict_each_other_are_refused(data, message):
    with pytest.raises(InputError, match=message) as caught:
        render_report(data)
    assert "\n" not in str(caught.value)
