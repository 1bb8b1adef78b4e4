"""A study's score of an adapter is the score that `cotune eval` gives it, to the last digit."""

import csv
import json

import pytest
import torch
import yaml

from cotune.cli.main import main
from cotune.lab.toy_language import TOY_CHECKPOINT, TOY_TASKS
from cotune.studies import Study, run_study
from cotune.tasks import METRICS

CHOSEN = ("accuracy", "exact_match", "nll")
"""Metrics that tasks of choices are scored with here."""
COLOURS = ["red", "green", "blue", "yellow"]
THINGS = ["sky", "grass", "rose", "sun", "sea", "leaf", "brick", "moon", "plum", "coal", "snow", "rust"]


def toy_tasks(folder):
    """Tasks that the shipped model knows in part, one of free answers and one of choices for a metric."""
    free = (name for name, task in TOY_TASKS.items() if not task.choices)
    closed = (name for name, task in TOY_TASKS.items() if task.choices)
    sizes = {"train": 12, "validation": 3, "test": 8}
    return [
        {"reader": "toy_language", "include": [next(names)], "metric": metric, "max_examples": sizes}
        for metric in METRICS
        for names in ((free, closed) if metric in CHOSEN else (free,))
    ]


def written_tasks(folder):
    """Tasks for a model that knows nothing: it learns one answer, which is right for some of the inputs."""
    entries = []
    for metric in METRICS:
        for choices in (False, True) if metric in CHOSEN else (False,):
            name = f"{metric}-{'choices' if choices else 'free'}"
            rows = []
            for at in range(30):
                answer = COLOURS[at % len(COLOURS)]
                text = f"{answer}\n{answer}" if metric == "rouge_l" else answer
                text = str(COLOURS.index(answer)) if metric == "pearson" else text
                rows.append({"input": f"{at} {THINGS[at % 12]} {THINGS[(at * 5) % 12]}", "target": text})
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            entry = {"reader": "jsonl", "path": f"{name}.jsonl", "metric": metric}
            entry["max_examples"] = {"train": 12, "validation": 3, "test": 6}
            entries.append({**entry, "choices": COLOURS} if choices else entry)
    return entries


@pytest.mark.parametrize("classification", ["likelihood", "generation"])
@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_a_study_and_eval_give_one_score(tmp_path, tiny_seq2seq, kind, classification, capsys):
    torch.set_num_threads(1)
    model, tasks = {"causal": (TOY_CHECKPOINT, toy_tasks), "seq2seq": (tiny_seq2seq, written_tasks)}[kind]
    file = tmp_path / "study.yaml"
    study = {
        "name": "one score",
        "seed": 4,
        "tasks": tasks(tmp_path),
        "learner": {
            "kind": "language_model",
            "model": str(model),
            "precision": "fp32",
            "max_target_tokens": 24,
            "max_prompt_tokens": 60,
            "classification": classification,
            "training": {"batch_size": 4, "learning_rate": 0.02},
        },
        "affinity": {"estimator": "gradient_cosine", "examples": 2},
        "grouping": {"n_clusters": 2},
        "comparison": {"budgets": [3 if kind == "causal" else 15], "seeds": 1, "arms": ["grouped", "joint"]},
        "executor": {"workers": 0},
    }
    file.write_text(yaml.safe_dump(study))
    run_study(Study.load(file))
    with (tmp_path / "study" / "results.csv").open() as table:
        told = [row for row in csv.DictReader(table) if row["arm"] == "grouped"]
    scores = {}
    for adapter in (tmp_path / "study" / "adapters").iterdir():
        capsys.readouterr()
        assert main(["eval", str(adapter), str(file), "--shots", "0", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        members = json.loads((adapter / "cotune.json").read_text())["tasks"]
        scores |= {row["task"]: row["mean"] for row in found["rows"] if row["task"] in members}
    assert {row["metric"] for row in told} == set(METRICS)
    assert {row["task"]: float(row["value"]) for row in told} == scores
    assert len({value for value in scores.values() if 0 < value < 1}) > 1, "scores that say something"
