"""A study small enough to run in seconds: real files, a tiny real model."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml

from cotune.lab.toy_language import TOY_CHECKPOINT
from cotune.studies import Study

TASKS = {
    "copy": lambda words: " ".join(words),
    "repeat": lambda words: " ".join([*words, *words]),
    "first": lambda words: words[0],
    "last": lambda words: words[-1],
}
WORDS = ["red", "green", "blue", "one", "two", "three", "four", "five", "six", "seven"]


def write_task(folder: Path, name: str, rule, n: int = 24) -> Path:
    draw = random.Random(name)
    inputs = sorted({" ".join(draw.sample(WORDS, 3)) for _ in range(2 * n)})[:n]
    content = {
        "Definition": [f"Given three words, {name}."],
        "Categories": ["Picking" if name in ("first", "last") else "Copying"],
        "Instances": [
            {"id": str(i), "input": text, "output": [rule(text.split())]} for i, text in enumerate(inputs)
        ],
        "Instance License": ["MIT"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


class Workshop:
    """Writes study files over one folder of tasks and one model."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.tasks = folder / "tasks"
        for name, rule in TASKS.items():
            write_task(self.tasks, name, rule)
        self.data = {
            "name": "words",
            "seed": 3,
            "tasks": {
                "reader": "natural_instructions",
                "path": "tasks",
                "metric": "nll",
                "max_examples": {"train": 8, "validation": 2, "test": 3},
            },
            "learner": {
                "kind": "language_model",
                "model": str(model),
                "precision": "fp32",
                "training": {"batch_size": 2, "tasks_per_batch": 1, "learning_rate": 0.01},
            },
            "affinity": {"estimator": "gradient_cosine", "examples": 2},
            "grouping": {"n_clusters": 2},
            "comparison": {"budgets": [1, 2], "seeds": 2},
            "executor": {"workers": 0},
        }

    def file(self, stem: str = "study", **changes) -> Path:
        """Write a study file; a change of None leaves the key out."""
        data = {key: value for key, value in {**self.data, **changes}.items() if value is not ...}
        path = self.folder / f"{stem}.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    def study(self, **changes) -> Study:
        return Study.load(self.file(**changes))


class RetentionWorkshop:
    """Writes files of retention studies over the toy language and its shipped model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        target = {"reader": "toy_language", "include": ["weighted"]}
        others = {"reader": "toy_language", "include": ["copy", "max", "less"]}
        self.data = {
            "name": "keep it",
            "kind": "retention",
            "seed": 3,
            "model": str(TOY_CHECKPOINT),
            "precision": "fp32",
            "tasks": [
                {**target, "max_examples": {"train": 64, "validation": 12, "test": 10}},
                {**others, "max_examples": {"train": 20, "validation": 1, "test": 8}},
            ],
            "targets": "weighted",
            "methods": [
                {"name": "full"},
                {"name": "promot", "prompt_length": 4, "prompt_steps": 2, "prompt_learning_rate": 0.05},
            ],
            "steps": 3,
            "checkpoint_every": 2,
            "training": {"batch_size": 4, "tasks_per_batch": 1},
            "in_context": {"shots": [1, 2], "draws": 2},
            "seeds": 1,
            "executor": {"workers": 0},
        }

    def file(self, stem: str = "study", **changes) -> Path:
        """Write a study file; a change of ... leaves the key out."""
        data = {key: value for key, value in {**self.data, **changes}.items() if value is not ...}
        path = self.folder / f"{stem}.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    def study(self, **changes) -> Study:
        return Study.load(self.file(**changes))


class TransferWorkshop:
    """Writes files of transfer studies over the toy language and its shipped model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        reader = {"reader": "toy_language"}
        self.data = {
            "name": "move on",
            "kind": "transfer",
            "seed": 3,
            "model": str(TOY_CHECKPOINT),
            "precision": "fp32",
            "tasks": [
                {
                    **reader,
                    "include": ["first", "middle", "greater"],
                    "max_examples": {"train": 48, "validation": 2, "test": 4},
                },
                {
                    **reader,
                    "include": ["last"],
                    "max_examples": {"train": 6, "validation": 2, "test": 4},
                },
                {
                    **reader,
                    "include": ["reverse", "less"],
                    "max_examples": {"train": 16, "validation": 1, "test": 3},
                },
            ],
            "held_out": ["reverse", "less"],
            "method": {"name": "full"},
            "steps": 3,
            "checkpoints": [1],
            "training": {"batch_size": 4, "tasks_per_batch": 2, "pass_tokens": 4096},
            "schemes": ["proportional", {"name": "uniform", "label": "even"}],
            "seeds": 1,
            "seen_examples": 3,
            "transfer": {"examples": [0, 2, 4], "draws": 1, "steps": 2, "training": {"learning_rate": 0.01}},
            "along": 4,
            "in_context": {"shots": [1, 2], "draws": 1},
            "executor": {"workers": 0},
        }

    def study(self, **changes) -> Study:
        """Write a study file; a change of ... leaves the key out."""
        data = {key: value for key, value in {**self.data, **changes}.items() if value is not ...}
        path = self.folder / "study.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return Study.load(path)


@pytest.fixture
def transfer(tmp_path) -> TransferWorkshop:
    return TransferWorkshop(tmp_path)


@pytest.fixture
def retention(tmp_path) -> RetentionWorkshop:
    return RetentionWorkshop(tmp_path)


@pytest.fixture
def workshop(tmp_path, tiny_causal) -> Workshop:
    return Workshop(tmp_path, tiny_causal)


class PlantedWorkshop:
    """Writes files of grouping studies over planted tasks, whose runs cost nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = {
            "name": "planted",
            "seed": 3,
            "learner": {"kind": "planted", "tasks": 9, "groups": 3},
            "affinity": {"estimator": "higher_order"},
            "grouping": {},
            "comparison": None,
            "executor": {"workers": 0},
        }

    def study(self, stem: str = "study", **changes) -> Study:
        """Write a study file; a mapping of options changes those of the same name."""
        data = dict(self.data)
        for key, value in changes.items():
            replaced = key in ("affinity", "sweep") or not isinstance(value, dict)
            data[key] = value if replaced else {**(data[key] or {}), **value}
        path = self.folder / f"{stem}.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return Study.load(path)


@pytest.fixture
def planted(tmp_path) -> PlantedWorkshop:
    return PlantedWorkshop(tmp_path)
