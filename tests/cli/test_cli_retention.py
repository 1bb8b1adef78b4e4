"""Retention studies through the command line, and the demo's study file."""

import json
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from cotune.cli.main import main
from cotune.lab.toy_language import TOY_CHECKPOINT


def cotune(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def study(tmp_path):
    few = {"train": 16, "validation": 6, "test": 6}
    data = {
        "name": "in small",
        "kind": "retention",
        "model": str(TOY_CHECKPOINT),
        "precision": "fp32",
        "tasks": {"reader": "toy_language", "include": ["weighted", "copy"], "max_examples": few},
        "targets": "weighted",
        "methods": [{"name": "full"}],
        "steps": 2,
        "training": {"batch_size": 4, "tasks_per_batch": 1},
        "in_context": {"shots": [2], "draws": 1},
        "seeds": 1,
        "executor": {"workers": 0},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_plan_run_status_and_report_of_a_retention_study(study, capsys):
    status, out, _ = cotune(capsys, "plan", study, "--no-measure")
    assert status == 0
    assert "in small: 2 tasks, 1 worker processes" in out
    assert "tuning: 1 run, 2 training steps" in out
    assert "prompts answered" in out
    assert not (study.parent / "study").exists()

    status, out, error = cotune(capsys, "run", study, "--json")
    assert status == 0, error
    events = [json.loads(line) for line in out.splitlines()]
    runs = [event for event in events if event["event"] == "run"]
    assert [run.get("method") for run in runs] == [None, "full"]
    assert events[-1]["event"] == "done"
    assert events[-1]["retention"]["runs"][0]["method"] == "full"
    assert Path(events[-1]["report"]).is_file()

    status, out, _ = cotune(capsys, "run", study)
    assert status == 0
    assert "full" in out.splitlines()[-2]
    assert "2-shot kept" in out
    status, out, _ = cotune(capsys, "status", study.parent / "study", "--json")
    found = json.loads(out)
    assert found["complete"] is True
    assert [stage["title"] for stage in found["stages"]] == ["pretrained", "tuning"]
    (study.parent / "study" / "report.html").unlink()
    assert cotune(capsys, "report", study)[0] == 0
    assert (study.parent / "study" / "report.html").is_file()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"targets": "wieghted"}, "did you mean 'weighted'?"),
        ({"methods": [{"name": "promott"}]}, "did you mean 'promot'?"),
        ({"equal_target": 95}, "equal_target: must be at most 1"),
        ({"in_context": {"shots": [17]}}, "Task copy has 16 training examples"),
        ({"learner": {"kind": "language_model"}}, "learner: unknown key"),
    ],
)
def test_mistakes_cost_one_sentence_and_nothing_is_written(study, capsys, change, expected):
    study.write_text(yaml.safe_dump({**yaml.safe_load(study.read_text()), **change}))
    status, out, error = cotune(capsys, "run", study)
    assert status == 2
    assert expected in error
    assert error.count("\n") == 1
    assert not out
    assert not (study.parent / "study").exists()


def test_the_demo_of_promot_asks_what_it_says():
    from cotune.studies import Study

    file = Path(str(files("cotune.lab") / "assets" / "promot.yaml"))
    study = Study.load(file)
    study.check()
    assert [arm.name for arm in study.config.methods] == [
        "full",
        "prompt",
        "promot",
        "joint",
        "random_prompt",
    ]
    assert study.config.rates == (3e-4, 1e-3)
    assert study.config.seeds == 3
    assert [task.name for task in study.targets] == ["weighted"]
    assert len(study.evaluation) == 11


def test_an_unknown_demo_is_refused(capsys):
    status, _, error = cotune(capsys, "demo", "promoted")
    assert status == 2
    assert "'functions', 'promot'" in error


LR = {"prompt_learning_rate": 0.05, "prompt_steps": 1}
KEPT = [
    {"name": "full"},
    {"name": "lora", "r": 2},
    {"name": "lora_first", "lora": {"r": 2}, "first_steps": 2, "first_learning_rate": 0.05},
    {"name": "prompt", "prompt_length": 3, **LR},
    {"name": "prompt", "label": "shared", "prompts": "shared", "prompt_length": 3, **LR},
    {"name": "prefix", "prefix_length": 3, "prefix_learning_rate": 0.02},
    {"name": "promot", "prompt_length": 3, **LR},
    {"name": "promot", "label": "in sequence", "order": "sequence", "prompt_length": 3, **LR},
    {"name": "joint", "label": "joint", "prompt_length": 3, "weights": {"name": "lora", "r": 2}},
    {"name": "random_prompt", "prompt_length": 3},
]


def test_every_model_that_a_study_of_two_targets_keeps_is_opened_and_scores_as_there(study, capsys):
    data = yaml.safe_load(study.read_text())
    data["tasks"]["include"].append("max")
    del data["training"]["tasks_per_batch"]
    study.write_text(yaml.safe_dump({**data, "targets": ["weighted", "max"], "methods": KEPT, "keep": True}))
    status, _, error = cotune(capsys, "run", study)
    assert status == 0, error
    found = json.loads((study.parent / "study" / "results.json").read_text())
    assert any("promot: the stage of its prompts takes 2 steps, twice 1" in note for note in found["notes"])
    assert any(note.startswith("prompt: the stage of its prompts takes 2") for note in found["notes"])
    assert not any(note.startswith(("in sequence", "shared")) for note in found["notes"])
    tasks = study.parent / "tasks.yaml"
    tasks.write_text(yaml.safe_dump({"tasks": [data["tasks"]], "seed": 0}))
    arguments = [tasks, "--shots", "0", "--draws", 1, "--set", "precision=fp32", "--json"]
    labels = {method.get("label", method["name"]) for method in KEPT}
    models = {unquote(path.name): path for path in (study.parent / "study" / "models").iterdir()}
    assert set(models) == labels
    for run in found["runs"]:
        status, out, error = cotune(capsys, "eval", models[run["method"]], *arguments)
        assert status == 0, (run["method"], error)
        rows = {row["task"]: row for row in json.loads(out)["rows"]}
        best = run["checkpoints"][run["best"]]
        assert {s["task"]: rows[s["task"]]["mean"] for s in best["targets"]} == {
            s["task"]: pytest.approx(s["test"]) for s in best["targets"]
        }, run["method"]
        under = run["method"] not in ("full", "lora")
        assert [rows[t]["under_prompt"] for t in ("weighted", "max", "copy")] == [under, under, False]
    status, _, error = cotune(capsys, "eval", models["promot"], *arguments, "--with-prompt", "all")
    assert status == 2
    assert "a soft prompt for each of weighted, max" in error
