import json

import pytest
import yaml

from cotune.benchmark.recorded import read_recorded


def test_shipped_tables_are_scored(cotune):
    status, out, err = cotune("bench", "score")
    assert status == 0, err
    assert "function classes: 9 tasks" in out
    assert "families are the optimum" in out
    assert "1 / 1" in out
    assert "by exact search" in out


def test_scores_as_json(cotune):
    status, out, _ = cotune("bench", "score", "--algorithms", "sdp, lloyd", "--matrix", "raw", "--json")
    card = json.loads(out)
    assert status == 0
    assert card["algorithms"] == ["sdp", "lloyd"]
    functions = card["tables"]["function classes"]
    assert functions["recovered"] == {"sdp": 1, "lloyd": 0}


def test_raw_losses_tell_what_each_algorithm_misses(cotune):
    _, out, _ = cotune("bench", "score", "--matrix", "raw")
    assert "linear + tree + relu: lloyd: the families are the optimum" in out
    assert "sdp: the families" not in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("score", "none.json"), "none.json cannot be read"),
        (("score", "--algorithms", "sdpp"), "did you mean 'sdp'"),
        (("record",), "Recording takes a study file; or --out with --model and --tasks, or with --paper."),
        (("record", "--out", "t.json", "--paper", "multitsk"), "did you mean 'multitask'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(cotune, arguments, sentence):
    status, _, err = cotune("bench", *arguments)
    assert status == 2
    assert sentence in err


def test_the_63_cases_are_listed(cotune):
    status, out, _ = cotune("bench", "cases", "--json")
    cases = json.loads(out)
    assert status == 0
    assert len(cases) == 63
    _, out, _ = cotune("bench", "cases")
    assert len(out.splitlines()) == 64


@pytest.fixture(scope="module")
def families(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("families") / "families.yaml"
    path.write_text(yaml.safe_dump({"one": ["weighted"], "two": ["c*", "max"]}))
    return path


def test_any_model_and_tasks_are_recorded_once_and_scored(cotune, tmp_path, toy, files, families):
    out = tmp_path / "table.json"
    arguments = ["bench", "record", "--out", out, "--model", toy, "--families", families]
    for name in ("weighted as likelihood", "copy as likelihood"):
        arguments += ["--tasks", files[name]]
    arguments += ["--set", "affinity.subset_size=2", "--set", "affinity.steps_per_task=1"]
    arguments += ["--set", "executor.workers=0", "--set", "learner.training.batch_size=2"]
    families.write_text(yaml.safe_dump({"one": ["weighted"], "two": ["copy"]}))
    status, text, err = cotune(*arguments)
    assert status == 0, err
    assert "2 tasks in 2 families" in text
    table = read_recorded(out)
    assert table.families == ("one", "two")
    assert table.single is not None
    assert table.provenance["runs"] == "3"
    study = yaml.safe_load(out.with_suffix(".yaml").read_text())
    assert study["comparison"] is None
    status, text, _ = cotune("status", out.with_suffix(""))
    assert status == 0
    assert "complete" in text
    status, text, _ = cotune(*arguments)
    assert "3 of them stored" in text
    assert cotune("bench", "score", out)[0] == 0
    status, _, err = cotune(*arguments[:-2], "--set", "affinity.seeds=2")
    assert status == 2
    assert "exists and says something else" in err


def test_functions_are_measured_and_reported(cotune, tmp_path):
    report = tmp_path / "functions.html"
    arguments = ["--seeds", 1, "--laws", "shapes", "--workers", 0, "--report", report]
    small = {"width": 8, "layers": 1, "heads": 1, "points": 4, "batch_size": 6, "base_steps": 2, "steps": 1}
    for key, value in {**small, "eval_prompts": 5, "side_by_side": 84}.items():
        arguments += ["--set", f"{key}={value}"]
    status, out, err = cotune("bench", "functions", *arguments)
    assert status == 0, err
    assert "Three laws of the parameters of each type: types recovered from raw losses by sdp" in out
    assert "sdp, raw, before any example" in out
    assert "relu with linear" in out
    assert "processor time" in out
    assert "Fig. 7" in report.read_text()
    status, _, err = cotune("bench", "functions", "--set", "widht=8")
    assert status == 2
    assert "did you mean 'width'" in err
