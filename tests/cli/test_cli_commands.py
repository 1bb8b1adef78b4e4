"""The real command in its own process where that matters, in this one where it does not."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

from cotune.cli.main import main

LIGHT = "import sys; from cotune.cli.main import main; main({!r}); sys.exit('torch' in sys.modules)"


def cotune(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def sentence(error):
    """Return the one line an error prints."""
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error


@pytest.fixture
def block_matrix(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"task {i}" for i in range(9)]
    same = np.arange(9)[:, None] % 3 == np.arange(9) % 3
    matrix = same + 0.1 * rng.normal(size=(9, 9))
    path = tmp_path / "affinity.csv"
    lines = [",".join(["", *names])]
    lines += [",".join([name, *map(str, row)]) for name, row in zip(names, matrix, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def score_table(tmp_path):
    rng = np.random.default_rng(1)
    lines = ["run," + ",".join("abcdef")]
    for run in range(60):
        subset = rng.choice(6, 3, replace=False)
        cells = [""] * 6
        for task in subset:
            mates = sum(other % 2 == task % 2 for other in subset) - 1
            cells[task] = f"{10 ** (task / 2) * (5 - mates + 0.1 * rng.normal()):.4f}"
        lines.append(f"{run}," + ",".join(cells))
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["group", "--help"], ["--version"]])
def test_help_needs_no_torch(arguments):
    assert (
        subprocess.run([sys.executable, "-c", LIGHT.format(arguments)], capture_output=True).returncode == 0
    )


def test_importing_cotune_needs_nothing_heavy():
    code = "import sys, cotune; sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_affinity_and_grouping_need_no_torch():
    code = "import sys, cotune.affinity, cotune.grouping; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_group_a_matrix(block_matrix, capsys):
    status, out, _ = cotune(capsys, "group", block_matrix)
    assert status == 0
    assert "group-0: task 0, task 3, task 6" in out
    assert "k = 3 (chosen by evidence)" in out
    assert "certified optimal" in out
    status, out, _ = cotune(capsys, "group", block_matrix, "-k", "2", "--json")
    found = json.loads(out)
    assert found["k"] == 2
    assert found["objective"] <= found["upper_bound"] + 1e-9
    assert {"groups", "labels", "k", "objective", "upper_bound", "gap"} <= found.keys()


def test_the_paper_s_threshold_and_its_constant_round_a_matrix(block_matrix, capsys):
    rounding = ("-k", "3", "--rounding", "threshold")
    status, out, _ = cotune(capsys, "group", block_matrix, *rounding, "--rounding-c", "1.5", "--json")
    assert status == 0
    assert json.loads(out)["k"] == 3
    status, out, _ = cotune(capsys, "group", block_matrix, *rounding, "--rounding-c", "4")
    assert "the threshold at 4 / n made other groups than the 3 asked for" in out, "1/3 is not above 4/9"
    assert "group-8: task 8" in out
    for wrong in (["--rounding-c", "2"], [*rounding, "--rounding-c", "0.5"]):
        status, _, err = cotune(capsys, "group", block_matrix, *wrong)
        assert status == 2
        assert "must be at least 1 and stand beside --rounding threshold or" in sentence(err)


def test_group_a_matrix_whose_rows_stand_in_another_order(block_matrix, capsys):
    _, expected, _ = cotune(capsys, "group", block_matrix, "--json")
    header, *lines = block_matrix.read_text().splitlines()
    block_matrix.write_text("\n".join([header, *reversed(lines)]))
    assert cotune(capsys, "group", block_matrix, "--json")[1] == expected


def test_group_a_score_table_of_losses_with_different_scales(score_table, capsys):
    status, out, _ = cotune(capsys, "group", score_table, "--lower-is-better", "-k", "2", "--json")
    assert status == 0
    assert json.loads(out)["groups"] == [["a", "c", "e"], ["b", "d", "f"]]


def test_a_long_table_gives_what_the_wide_one_gives(score_table, tmp_path, capsys):
    header, *lines = [line.split(",") for line in score_table.read_text().splitlines()]
    long = ["run\ttask\tscore"]
    long += [
        f"{cells[0]}\t{task}\t{cell}"
        for cells in lines
        for task, cell in zip(header[1:], cells[1:], strict=True)
        if cell
    ]
    path = tmp_path / "long.tsv"
    path.write_text("\n".join(long))
    options = ["--lower-is-better", "-k", "2", "--json"]
    wide = json.loads(cotune(capsys, "group", score_table, *options)[1])
    other = json.loads(cotune(capsys, "group", path, *options)[1])
    assert sorted(map(sorted, other["groups"])) == sorted(map(sorted, wide["groups"]))
    assert other["objective"] == pytest.approx(wide["objective"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b,c\n1,inf,\n,2,3\n", "line 2, 'b': inf is not a score"),
        ("a,b,c\n1,x,\n2,3,\n,3,4\n", "line 2, 'b': 'x' is not a number"),
        ("a,b,c\n1,2\n", "line 2: 2 cells under a header of 3"),
        ("a,b,a\n1,2,3\n", "two tasks have the name 'a'"),
        ("a,b,c\n", "holds no rows"),
        ("", "holds no rows"),
        ("a,b\n1,\n", "left out: column 'b' (empty)"),
        ("a,b,c\n1,2,\n,3,4\n2,,\n", "the first that of 'c' to 'a'"),
        ("a,b,c\n1,2,\n,3,4\n2,,\n", "with --missing complete"),
        ("run,task,score\n1,a,2\n1,a,3\n1,b,1\n", "second score of task 'a'"),
        (",a,b,c\na,1,,2\nb,2,3,4\nc,2,3,4\n", "1 of 6 affinities are missing, the first that of 'b' to 'a'"),
        ("a\n1\n", "at least two tasks"),
        (",a\na,1\n", "at least two tasks"),
        (",a,b,c\na,1,2,3\nb,4,5,6\n", "'c' is only on one side"),
        (",a,b\na,1,2\nb,4,5\nb,4,5\n", "3 rows and 2 columns"),
        (",a,b\na,1,inf\nb,2,3\n", "line 2, 'b': inf is not a score"),
    ],
)
def test_tables_with_mistakes(tmp_path, capsys, content, expected):
    path = tmp_path / "table.csv"
    path.write_text(content)
    status, out, error = cotune(capsys, "group", path)
    assert status == 2
    assert expected in sentence(error)
    assert not out


@pytest.mark.parametrize("k", ["0", "10", "-1", "many", "2.5"])
def test_a_number_of_groups_that_cannot_be(block_matrix, capsys, k):
    status, _, error = cotune(capsys, "group", block_matrix, f"-k={k}")
    assert status == 2
    assert "from 1 to the number of tasks 9" in sentence(error)


def test_all_affinities_equal_are_one_group(tmp_path, capsys):
    path = tmp_path / "flat.csv"
    path.write_text("," + ",".join("abcd") + "\n" + "".join(f"{name},3,3,3,3\n" for name in "abcd"))
    status, out, _ = cotune(capsys, "group", path)
    assert status == 0
    assert "group-0: a, b, c, d" in out
    assert "certified optimal" in out


def test_a_matrix_that_contradicts_its_transpose_is_pointed_out(tmp_path, capsys):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(10, 10))
    names = [f"t{i}" for i in range(10)]
    lines = [",".join(["", *names])]
    lines += [",".join([name, *map(str, row)]) for name, row in zip(names, A - A.T, strict=True)]
    path = tmp_path / "differences.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.warns(UserWarning, match="almost antisymmetric"):
        assert cotune(capsys, "group", path, "--scale", "none")[0] == 0


def test_a_score_table_says_how_sure_its_groups_are(score_table, capsys):
    options = ["--lower-is-better", "-k", "2"]
    found = json.loads(cotune(capsys, "group", score_table, *options, "--json")[1])
    assert found["stability"]["resamples"] == 100
    assert set(found["stability"]["confidence"]) == set("abcdef")
    assert all(share >= 0.9 for share in found["stability"]["confidence"].values())
    assert (
        "every task stays in its group in at least 90 % of 100"
        in cotune(capsys, "group", score_table, *options)[1]
    )
    assert "stability" not in cotune(capsys, "group", score_table, *options, "--resamples", "0")[1]


def test_tasks_that_do_not_stay_in_their_group_are_named(score_table, capsys):
    # Four groups of six tasks that form two: how the groups are split is chance.
    out = cotune(capsys, "group", score_table, "--lower-is-better", "-k", "4")[1]
    assert "least sure: " in out


@pytest.fixture
def runs_with_singles(tmp_path):
    """Losses of six tasks in two groups, every task alone, every pair and some triples."""
    rng = np.random.default_rng(2)
    subsets = [(i,) for i in range(6)] + [(i, j) for i in range(6) for j in range(i)]
    subsets += [tuple(rng.choice(6, 3, replace=False)) for _ in range(20)]
    lines = [",".join("abcdef")]
    for subset in subsets:
        cells = [""] * 6
        for task in subset:
            mates = sum(1 if other % 2 == task % 2 else -1 for other in subset) - 1
            cells[task] = f"{10 ** (task / 2) * (5 - 0.5 * mates + 0.02 * rng.normal()):.4f}"
        lines.append(",".join(cells))
    path = tmp_path / "gains.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_runs_of_tasks_alone_group_by_predicted_gain(runs_with_singles, capsys):
    out = cotune(capsys, "group", runs_with_singles, "--lower-is-better")[1]
    assert "group-0: a, c, e\ngroup-1: b, d, f\npredicted gain +19." in out
    assert "over all together" in out
    assert "no partition is predicted to gain more" in out
    assert "\nby density" in out
    found = json.loads(cotune(capsys, "group", runs_with_singles, "--lower-is-better", "--json")[1])
    assert found["answer"] == "gain"
    assert found["groups"] == found["gain"]["groups"] == [[*"ace"], [*"bdf"]]
    assert found["gain"]["over_alone"]["value"] == pytest.approx(0.2, abs=0.02)
    assert found["k"] == 2
    assert found["density"]["predicted_gain"] <= found["gain"]["upper_bound"]
    assert found["density"]["stability"] is None, "nobody asked how stable the groups beside are"
    assert (
        "stability: "
        in cotune(capsys, "group", runs_with_singles, "--lower-is-better", "--resamples", "5")[1]
    )


def test_weights_say_what_a_gain_of_a_task_is_worth(tmp_path, capsys):
    lines = ["a,b", "1,", ",1", "0.8,1.3"]  # losses: a gains by what b loses more of
    table, weights = tmp_path / "two.csv", tmp_path / "weights.csv"
    table.write_text("\n".join(lines) + "\n")
    options = ["group", table, "--lower-is-better"]
    assert "group-0: a\ngroup-1: b" in cotune(capsys, *options)[1]
    weights.write_text("task,weight\na,1\nb,0.25\n")
    for given in (["--weights", "a=4"], ["--weights", weights], ["--weights", "b=3", "--weights", weights]):
        out = cotune(capsys, *options, *given)[1]
        assert "group-0: a, b" in out
        assert "a task is worth: " in out
    found = json.loads(cotune(capsys, *options, "--weights", weights, "--weights", "b=1", "--json")[1])
    assert found["gain"]["weights"] == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("z=1", "there is no task 'z'"),
        ("a=many", "a weight must be a number of at least 0, got 'many'"),
        ("a=-1", "at least 0"),
        ("a=inf", "at least 0"),
        ("none.csv", "give TASK=NUMBER, or a CSV file"),
        ("wrong.csv", "line 2: expected a task and a number, got 3 cells"),
    ],
)
def test_weights_with_mistakes_cost_a_sentence(
    runs_with_singles, tmp_path, monkeypatch, capsys, given, expected
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.csv").write_text("task,weight\na,1,2\n")
    status, _, error = cotune(capsys, "group", runs_with_singles.name, "--weights", given)
    assert status == 2
    assert expected in sentence(error)


def test_gains_in_units_of_noise_need_repeated_runs(runs_with_singles, score_table, tmp_path, capsys):
    out = cotune(capsys, "group", runs_with_singles, "--lower-is-better", "--unit", "noise")[1]
    assert "in standard deviations between runs of one subset" in out
    once = tmp_path / "once.csv"
    once.write_text("a,b\n1,\n,1\n0.8,1.3\n")
    status, _, error = cotune(capsys, "group", once, "--unit", "noise")
    assert status == 2
    assert "no subset with it was run twice" in sentence(error)
    status, _, error = cotune(capsys, "group", score_table, "--unit", "noise")
    assert status == 2
    assert "only groups by predicted gain have this option" in sentence(error)


def test_density_groups_where_it_is_asked_for(runs_with_singles, capsys):
    options = [runs_with_singles, "--lower-is-better", "--objective", "density"]
    assert "predicted gain" not in cotune(capsys, "group", *options)[1]
    assert "gain" not in json.loads(cotune(capsys, "group", *options, "--json")[1])


def test_as_many_groups_by_gain_as_asked_for(runs_with_singles, capsys):
    options = [runs_with_singles, "--lower-is-better", "-k", "3", "--json"]
    found = json.loads(cotune(capsys, "group", *options)[1])
    assert found["k"] == len(found["groups"]) == 3


def test_without_runs_of_tasks_alone_density_groups_and_says_why(score_table, block_matrix, capsys):
    out = cotune(capsys, "group", score_table, "--lower-is-better", "--resamples", "0")[1]
    assert "grouped by density: no run trains 'a' alone (nor 5 more)" in out
    status, _, error = cotune(capsys, "group", score_table, "--objective", "gain")
    assert status == 2
    assert "no run trains 'a' alone" in sentence(error)
    status, _, error = cotune(capsys, "group", block_matrix, "--objective", "gain")
    assert status == 2
    assert "an affinity matrix holds no scores alone" in sentence(error)


def test_pairs_that_never_met_do_not_keep_gains_back(tmp_path, capsys):
    path = tmp_path / "few.csv"
    path.write_text("a,b,c\n1,,\n,1,\n,,1\n1.2,1.3,\n,0.8,0.7\n")
    assert "group-0: a, b\ngroup-1: c" in cotune(capsys, "group", path)[1]


def test_a_table_leaves_a_page_and_a_file_of_groups(runs_with_singles, tmp_path, capsys):
    page, groups = tmp_path / "page.html", tmp_path / "groups.csv"
    options = [runs_with_singles, "--lower-is-better", "--report", page, "--out", groups]
    status, out, _ = cotune(capsys, "group", *options)
    assert status == 0
    assert out.endswith(f"groups: {groups}\nreport: {page}\n")
    assert groups.read_text().splitlines() == ["task,group", "a,0", "b,1", "c,0", "d,1", "e,0", "f,1"]
    text = page.read_text()
    assert "Predicted gain" in text
    assert "Taken for tasks: all 6 columns" in text
    assert text.count("<svg") >= 2
    assert 'id="runs"' not in text  # nothing was run, and nothing is known of the tasks
    assert "in this study" not in text
    found = json.loads(cotune(capsys, "group", *options, "--json")[1])
    assert found["reading"] == ["taken for tasks: all 6 columns (a, b, c, d, e and 1 more)"]


def test_what_settles_a_table_is_named_as_an_option(tmp_path, capsys):
    path = tmp_path / "full.csv"
    path.write_text("what,a,b,c\na-b,1,2,0\nb-c,0,1,2\na-c,2,0,1\n")
    status, _, error = cotune(capsys, "group", path)
    assert status == 2
    assert "--subset-column what." in sentence(error)
    assert "group-0: " in cotune(capsys, "group", path, "--subset-column", "what")[1]
    status, _, error = cotune(capsys, "group", path, "--missing", "never")
    assert status == 2
    assert "--missing" in sentence(error)


def test_a_missing_table(tmp_path, capsys):
    status, _, error = cotune(capsys, "group", tmp_path / "none.csv")
    assert status == 2
    assert "cannot be read" in sentence(error)


@pytest.mark.parametrize(("alone", "asked"), [([], ["--help"]), (["bench"], ["bench", "-h"])])
def test_a_command_without_those_below_it_prints_its_help(alone, asked, capsys):
    status, told, errors = cotune(capsys, *alone)
    assert (status, errors) == (0, "")
    assert "Commands:" in told
    assert cotune(capsys, *asked) == (0, told, "")


def test_h_is_help_of_every_command(capsys):
    status, told, _ = cotune(capsys, "group", "-h")
    assert status == 0
    assert "-h, --help" in told
    assert cotune(capsys, "group", "--help") == (0, told, "")


@pytest.mark.parametrize(
    ("words", "completed"), [("cotune ev", ["eval"]), ("cotune group --rep", ["--report"])]
)
def test_the_shell_completes_commands_and_options(words, completed):
    asked = {"_COTUNE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    code = "import sys; sys.argv = ['cotune']; from cotune.cli.main import run_and_exit; run_and_exit()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **asked}, check=True
    )
    assert done.stdout.split() == completed


def test_unknown_commands_and_options_exit_with_2(capsys):
    for arguments in (["grup"], ["group"], ["run", "x.yaml", "--fast"]):
        status, _, error = cotune(capsys, *arguments)
        assert status == 2
        sentence(error)


def study_file(tmp_path, **changes):
    data = {
        "name": "mistakes",
        "tasks": {"reader": "natural_instructions", "path": "tasks"},
        "learner": {"kind": "language_model", "model": "./model"},
        **changes,
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def task_file(folder, name="one", instances=6, content=None):
    folder.mkdir(exist_ok=True)
    items = [{"id": str(i), "input": f"in {i}", "output": [f"out {i}"]} for i in range(instances)]
    text = content or json.dumps({"Definition": ["Do."], "Categories": ["X"], "Instances": items}, indent=1)
    (folder / f"{name}.json").write_text(text)


def broken_json(tmp_path, model):
    task_file(tmp_path / "tasks", content='{"Definition": ["x"],\n "Instances": [\n {"input": }]}')
    return {}


def no_instances(tmp_path, model):
    task_file(tmp_path / "tasks", instances=0)
    return {}


def two_of_one_name(tmp_path, model):
    task_file(tmp_path / "tasks")
    task_file(tmp_path / "more")
    reader = {"reader": "natural_instructions"}
    return {"tasks": [{**reader, "path": "tasks"}, {**reader, "path": "more"}]}


def empty_folder(tmp_path, model):
    (tmp_path / "tasks").mkdir()
    return {}


def missing_model(tmp_path, model):
    task_file(tmp_path / "tasks")
    task_file(tmp_path / "tasks", "two")
    return {}


def too_many_groups(tmp_path, model):
    task_file(tmp_path / "tasks")
    task_file(tmp_path / "tasks", "two")
    return {
        "learner": {"kind": "language_model", "model": str(model)},
        "grouping": {"n_clusters": 3},
    }


def unknown_key(tmp_path, model):
    return {"afinity": {}}


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        (broken_json, ["one.json", "line 3"]),
        (no_instances, ["one"]),
        (two_of_one_name, ["'one'"]),
        (empty_folder, ["tasks"]),
        (missing_model, ["model", "does not exist"]),
        (too_many_groups, ["grouping.n_clusters", "number of tasks 2"]),
        (unknown_key, ["afinity", "did you mean 'affinity'?"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_mistakes_in_a_study_cost_one_sentence_and_nothing_is_written(
    tmp_path, capsys, tiny_causal, mistake, expected, command
):
    changes = mistake(tmp_path, tiny_causal)
    file = study_file(tmp_path, **changes)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    status, out, error = cotune(capsys, command, file)
    assert status == 2, error
    for part in expected:
        assert part in sentence(error)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert not out


def test_the_folder_of_another_study_is_refused(tmp_path, capsys, tiny_causal):
    task_file(tmp_path / "tasks")
    task_file(tmp_path / "tasks", "two")
    learner = {"kind": "language_model", "model": str(tiny_causal)}
    file = study_file(tmp_path, learner=learner, comparison=None, executor={"workers": 0})
    assert cotune(capsys, "run", file, "--folder", tmp_path / "results")[0] == 0
    kept = {path: path.read_bytes() for path in (tmp_path / "results").iterdir() if path.is_file()}
    other = study_file(tmp_path, name="another", learner=learner)
    status, _, error = cotune(capsys, "run", other, "--folder", tmp_path / "results")
    assert status == 2
    assert "belongs to the study 'mistakes'" in sentence(error)
    assert {path: path.read_bytes() for path in kept} == kept


def test_run_status_and_report_with_json(tmp_path, capsys, tiny_causal):
    task_file(tmp_path / "tasks")
    task_file(tmp_path / "tasks", "two")
    learner = {"kind": "language_model", "model": str(tiny_causal)}
    file = study_file(tmp_path, learner=learner, comparison=None, executor={"workers": 0})
    status, out, _ = cotune(capsys, "run", file, "--json")
    assert status == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events][-1] == "done"
    assert sum(event["event"] == "run" for event in events) == 2
    status, out, _ = cotune(capsys, "status", file, "--json")
    assert json.loads(out)["complete"] is True
    status, out, _ = cotune(capsys, "status", file)
    assert "affinity: 2 of 2 runs" in out
    (tmp_path / "study" / "report.html").unlink()
    status, out, _ = cotune(capsys, "report", tmp_path / "study")
    assert status == 0
    assert (tmp_path / "study" / "report.html").is_file()
    status, out, _ = cotune(capsys, "plan", file, "--no-measure")
    assert "affinity: 2 runs" in out


def test_notes_of_tasks_alike_are_one_line_unless_each_is_asked_for(tmp_path, capsys, tiny_causal):
    for name in ("one", "two", "three", "four"):
        task_file(tmp_path / "tasks", name, instances=40)
    one = tmp_path / "tasks" / "one.json"
    one.write_text(one.read_text().replace('"out 7"', '""'))
    caps = {"train": 4, "validation": 1, "test": 2}
    tasks = {"reader": "natural_instructions", "path": "tasks", "max_examples": caps}
    learner = {"kind": "language_model", "model": str(tiny_causal)}
    file = study_file(tmp_path, tasks=tasks, learner=learner, comparison=None, executor={"workers": 0})
    plan = ("plan", file, "--no-measure")
    capped = "capped at 4 / 1 / 2 examples"
    lines = cotune(capsys, *plan)[1].splitlines()
    assert [line for line in lines if "capped" in line] == [f"  all 4 tasks: {capped}"]
    (dropped,) = [line for line in lines if "dropped" in line]
    assert dropped.startswith("  one: 1 of 40 examples dropped as unusable (the first: one.json, instance 8 ")
    lines = cotune(capsys, *plan, "--verbose")[1].splitlines()
    each = [line for line in lines if "capped" in line]
    assert {line.partition(": ")[0].strip() for line in each} == {"one", "two", "three", "four"}
    assert all(f": {capped} (of " in line for line in each)
    notes = json.loads(cotune(capsys, *plan, "--json")[1])["notes"]
    assert sum("capped" in note for note in notes) == 4
    assert f"  all 4 tasks: {capped}" in cotune(capsys, "run", file)[1].splitlines()
    assert "  four: " + capped in cotune(capsys, "run", file, "--verbose")[1]


def test_debug_prints_a_traceback(tmp_path, capsys):
    status, _, error = cotune(capsys, "group", tmp_path / "none.csv", "--debug")
    assert status == 2
    assert "Traceback" in error


def test_the_demo_recovers_the_three_types(tmp_path, capsys):
    status, out, error = cotune(capsys, "demo", "functions", "--folder", tmp_path / "demo")
    assert status == 0, error
    assert "sdp: the three types, exactly" in out
    assert "group-0: linear-1.0, linear-0.9, linear-1.1" in out
    assert (tmp_path / "demo" / "report.html").is_file()
