"""What ``import cotune`` offers: little to import, all of it typed, and usable without internals."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import cotune
from cotune.affinity import table_of
from cotune.exceptions import CotuneError, InputError
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.tasks import SPLITS

HEAVY = ("torch", "transformers", "pydantic", "numpy", "scipy", "sklearn", "yaml", "typer")
MILLISECONDS = 30


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_it_loads_nothing_heavy_and_takes_no_time():
    # Processor time, and of several processes the quickest: the machine may be busy with others.
    code = "import sys, time; t = time.process_time(); import cotune; print(time.process_time() - t); "
    code += f"sys.exit(any(name in sys.modules for name in {HEAVY}))"
    assert min(float(python(code)) for _ in range(5)) < MILLISECONDS / 1000


@pytest.mark.parametrize("name", ["group", "SDPClustering", "Task", "InputError"])
def test_what_needs_no_model_loads_no_torch(name):
    python(f"import sys, cotune; cotune.{name}; sys.exit('torch' in sys.modules)")


def test_type_checkers_and_users_see_the_same_names():
    tree = ast.parse(Path(cotune.__file__).read_text(encoding="utf-8"))
    typed = {}
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
            for one in node.body:
                typed |= {alias.name: one.module for alias in one.names}
    assert {*typed, "__version__"} == set(cotune.__all__) <= set(dir(cotune))
    assert {name: f"cotune.{home}" for name, home in cotune._HOMES.items()} == typed
    assert all(getattr(cotune, name) is not None for name in cotune.__all__)


def test_everything_says_what_it_is_for():
    for name in set(cotune.__all__) - {"__version__"}:
        assert inspect.getdoc(getattr(cotune, name))
    for function in (cotune.tune, cotune.evaluate, cotune.group, cotune.read_tasks):
        text = inspect.getdoc(function)
        assert all(f"{section}\n---" in text for section in ("Parameters", "Returns", "Raises"))
        for parameter in inspect.signature(function).parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty
            assert parameter.name in text


def test_other_names_are_missing():
    with pytest.raises(AttributeError, match="has no attribute 'tnue'"):
        cotune.tnue  # noqa: B018


def test_exceptions_have_one_root():
    assert issubclass(cotune.InputError, cotune.CotuneError)
    assert issubclass(cotune.RunError, cotune.CotuneError)
    assert cotune.CotuneError is CotuneError


@pytest.fixture
def blocks():
    """Return an affinity matrix of nine tasks in three groups."""
    same = np.arange(9)[:, None] % 3 == np.arange(9) % 3
    return same + 0.1 * np.random.default_rng(0).normal(size=(9, 9))


@pytest.fixture
def scores():
    """Return scores of 80 runs of three of six tasks in two groups, NaN where a task was not in a run."""
    rng = np.random.default_rng(1)
    table = np.full((80, 6), np.nan)
    for row in table:
        subset = rng.choice(6, 3, replace=False)
        for task in subset:
            row[task] = sum(other % 2 == task % 2 for other in subset) + 0.1 * rng.normal()
    return table


def test_group_takes_numbers(blocks, scores):
    groups = cotune.group(blocks, tasks="abcdefghi")
    assert groups.members == [("a", "d", "g"), ("b", "e", "h"), ("c", "f", "i")]
    assert groups.certified
    assert cotune.group(blocks.tolist(), n_clusters=3).labels == groups.labels
    assert cotune.group(-blocks, lower_is_better=True).labels == groups.labels
    found = cotune.group(scores, n_clusters=2, resamples=5)
    assert found.members == [("task-0", "task-2", "task-4"), ("task-1", "task-3", "task-5")]
    assert found.source == "score table of 80 runs"
    assert found.stability is not None


def test_group_takes_the_names_of_a_data_frame(scores):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(scores, columns=[*"abcdef"])
    assert cotune.group(frame, n_clusters=2, resamples=0).members == [("a", "c", "e"), ("b", "d", "f")]
    assert cotune.group(frame, tasks="uvwxyz", n_clusters=2, resamples=0).tasks == tuple("uvwxyz")


def test_group_takes_files_by_either_name(scores, tmp_path):
    file = tmp_path / "scores.csv"
    cells = [["" if np.isnan(value) else repr(float(value)) for value in row] for row in scores]
    file.write_text("\n".join(",".join(row) for row in ([*"abcdef"], *cells)))
    by_numbers = cotune.group(scores, tasks="abcdef", n_clusters=2, resamples=5)
    for name in (file, str(file)):
        found = cotune.group(name, n_clusters=2, resamples=5).to_dict()
        assert found.pop("reading") == ["taken for tasks: all 6 columns (a, b, c, d, e and 1 more)"]
        assert found == by_numbers.to_dict()


def test_a_square_score_table_has_to_be_called_one(scores):
    square = np.vstack([row for row in scores if not np.isnan(row[0])])[:6]
    assert table_of(square).kind == "affinity matrix"
    assert table_of(square, kind="score table").n_runs == 6


@pytest.mark.parametrize(
    ("table", "options", "expected"),
    [
        ([[1, 2], [3]], {}, "numbers alone"),
        ([["a", "b"]], {}, "numbers alone"),
        ([1, 2, 3], {}, "two dimensions"),
        (np.zeros((0, 3)), {}, "two dimensions"),
        ([[1, np.inf], [1, 1]], {}, "infinity in row 0, column 1"),
        (np.eye(3), {"tasks": "ab"}, "3 columns needs as many names of tasks, got 2"),
        (np.eye(3), {"tasks": "aba"}, "two tasks have the name 'a'"),
        (np.eye(3), {"n_clusters": 4}, "n_clusters"),
        (np.eye(3), {"scale": "rows"}, "scale"),
        (np.eye(3), {"k_rule": "bik"}, "k_rule"),
        (np.eye(3), {"resamples": -1}, "resamples must be 0 or more"),
        ("nowhere.csv", {}, "cannot be read"),
        ("nowhere.csv", {"tasks": "ab"}, "names its own tasks"),
        (table_of(np.eye(3)), {"lower_is_better": True}, "knows tasks and direction"),
        ([[1.0], [2.0]], {}, "at least two tasks"),
    ],
)
def test_tables_with_mistakes_cost_a_sentence(table, options, expected):
    with pytest.raises(InputError, match=expected) as caught:
        cotune.group(table, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [(np.eye(3), "scores", "must be one of"), (np.ones((2, 3)), "affinity matrix", "square")],
)
def test_kinds_of_tables(values, kind, expected):
    with pytest.raises(InputError, match=expected):
        table_of(values, kind=kind)


@pytest.fixture
def files(tmp_path):
    """Write two tasks of the toy language; return their folders by name."""
    found = {}
    for task in toy_tasks(["copy", "max"], train=24, validation=6, test=8):
        folder = tmp_path / task.name
        folder.mkdir()
        for split in SPLITS:
            rows = [json.dumps({"input": e.input, "target": e.targets[0]}) for e in task[split]]
            (folder / f"{split}.jsonl").write_text("\n".join(rows))
        found[task.name] = folder
    return found


def test_tasks_are_read_by_either_name(files):
    (task,) = cotune.read_tasks(files["copy"])
    assert cotune.read_tasks(str(files["copy"])) == [task]
    assert isinstance(task, cotune.Task)
    assert isinstance(task["train"][0], cotune.Example)


def test_tune_and_evaluate_do_what_the_commands_do(files, tmp_path, capsys):
    from cotune.cli.main import main

    recipe = {"steps": 4, "training": {"batch_size": 4}, "in_context": {"shots": [0], "draws": 1}}
    (other,) = cotune.read_tasks(files["max"])
    result = cotune.tune(
        files["copy"],
        TOY_CHECKPOINT,
        str(tmp_path / "a"),
        "lora",
        evaluation=other,
        precision="fp32",
        **recipe,
    )
    assert isinstance(result, cotune.TuneResult)
    options = ["--model", TOY_CHECKPOINT, "--method", "lora", "--steps", 4, "--batch-size", 4, "--shots", "0"]
    options += ["--draws", 1, "--eval", files["max"], "--set", "precision=fp32"]
    assert main([str(o) for o in ["tune", files["copy"], "--out", tmp_path / "b", *options]]) == 0
    written = json.loads((tmp_path / "b" / "tune.json").read_text())
    assert written == json.loads((tmp_path / "a" / "tune.json").read_text())
    again = cotune.tune(
        str(files["copy"]),
        str(TOY_CHECKPOINT),
        tmp_path / "a",
        {"name": "lora"},
        evaluation=[files["max"]],
        precision="fp32",
        **recipe,
    )
    assert json.dumps(again.to_dict()) == json.dumps(result.to_dict())

    found = cotune.evaluate(tmp_path / "a", [other, files["copy"]], shots=(0, 2), draws=1)
    assert isinstance(found, cotune.Evaluation)
    table = tmp_path / "table.csv"
    asked = [
        "eval",
        tmp_path / "a",
        files["max"],
        files["copy"],
        "--shots",
        "0,2",
        "--draws",
        1,
        "--csv",
        table,
    ]
    assert main([str(word) for word in asked]) == 0
    assert table.read_text() == found.csv()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"stepps": 3}, "stepps"),
        ({"method": "lorra"}, "lora"),
        ({"steps": 0}, "steps"),
        ({"training": {"batchsize": 3}}, "batch_size"),
    ],
)
def test_mistakes_in_tuning_cost_a_sentence_and_nothing_is_written(files, tmp_path, options, expected):
    with pytest.raises(InputError, match=expected):
        cotune.tune(files["copy"], TOY_CHECKPOINT, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_several_tasks_are_too_many_to_tune_on(files, tmp_path):
    both = tmp_path / "both.yaml"
    entries = [{"reader": "jsonl", "path": str(folder)} for folder in files.values()]
    both.write_text(yaml.safe_dump({"tasks": entries}))
    with pytest.raises(InputError, match="holds 2 tasks"):
        cotune.tune(both, TOY_CHECKPOINT, tmp_path / "out")


def test_a_study_needs_nothing_but_its_file(tmp_path):
    content = {
        "name": "planted",
        "learner": {"kind": "planted", "tasks": 9, "groups": 3},
        "affinity": {"estimator": "higher_order"},
        "comparison": None,
        "executor": {"workers": 0},
    }
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(content))
    study = cotune.Study.load(str(file), folder=str(tmp_path / "results"))
    plan = study.plan()
    assert isinstance(plan, cotune.Plan)
    assert not study.folder.exists()
    result = study.run()
    assert isinstance(result, cotune.StudyResult)
    status = study.status()
    assert isinstance(status, cotune.Status)
    assert status.complete
    assert list(study.collect().sentences()) == list(result.sentences())
    assert cotune.Study.load(study.folder).status() == status
