"""Instruction tuning, ProMoT and the groups of a grouping study, side by side in one transfer study."""

import json
from pathlib import Path

import pytest
import yaml

from cotune.lab.toy_language import TOY_CHECKPOINT
from cotune.studies import Study, run_study
from cotune.training.methods import Lora, Promot

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAIN = ["first", "last", "greater"]
SIZES = {"train": 16, "validation": 2, "test": 4}


def load(folder, stem, **data):
    path = folder / f"{stem}.yaml"
    path.write_text(yaml.safe_dump({"seed": 3, "executor": {"workers": 0}, **data}, sort_keys=False))
    return Study.load(path)


@pytest.fixture
def grouped(tmp_path):
    """Group three tasks by a study, with nothing trained."""
    study = load(
        tmp_path,
        "grouping",
        name="groups",
        tasks={"reader": "toy_language", "include": TRAIN, "metric": "nll", "max_examples": SIZES},
        learner={"kind": "language_model", "model": str(TOY_CHECKPOINT), "precision": "fp32"},
        affinity={"estimator": "gradient_cosine", "examples": 2},
        grouping={"n_clusters": 2},
        comparison=None,
    )
    run_study(study)
    return json.loads((study.folder / "groups.json").read_text())["groups"]


def test_three_ways_of_tuning_are_rows_of_one_table(tmp_path, grouped):
    promot = {"name": "promot", "prompt_length": 2, "prompt_steps": 1, "prompt_learning_rate": 0.05}
    study = load(
        tmp_path,
        "combination",
        name="combination",
        kind="transfer",
        model=str(TOY_CHECKPOINT),
        precision="fp32",
        tasks={"reader": "toy_language", "include": [*TRAIN, "reverse"], "max_examples": SIZES},
        held_out="reverse",
        steps=2,
        checkpoints=[],
        training={"batch_size": 4, "tasks_per_batch": 1},
        arms=[
            {"label": "instruction tuning", "method": {"name": "lora", "r": 2}},
            {"label": "ProMoT", "method": {**promot, "weights": {"name": "lora", "r": 2}}},
            {"label": "groups", "groups": "grouping", "method": {"name": "lora", "r": 2}},
        ],
        seeds=1,
        seen_examples=2,
        transfer={"examples": [0, 2], "draws": 1, "steps": 1},
        along=2,
        in_context={"shots": [1], "draws": 1},
    )
    result = run_study(study)
    assert result.data.failures == ()
    models = {arm.label: result.data.of_arm(arm.label) for arm in result.data.arms}
    assert {label: len(runs) for label, runs in models.items()} == {
        "instruction tuning": 1,
        "ProMoT": 1,
        "groups": 2,
    }
    trained = [{loss.task for loss in run.last.seen} for run in models["groups"]]
    assert sorted(map(sorted, trained)) == sorted(map(sorted, grouped))
    for label, runs in models.items():
        assert sum(run.checkpoints[-1].step for run in runs) == 2, f"{label} has all steps and no more"

    rows = {row.arm: row for row in result.findings.arms}
    assert list(rows) == ["instruction tuning", "ProMoT", "groups"]
    shown = [run.last.of("reverse").shown(1).loss for run in models["groups"]]
    assert rows["groups"].in_context_loss == pytest.approx(sum(shown) / 2)
    table = [line.split("  ")[0] for line in result.sentences()]
    assert table[2:6] == ["pretrained", "instruction tuning", "ProMoT", "groups"]


def test_the_example_compares_the_three():
    study = Study.load(EXAMPLES / "combination.yaml")
    arms = {arm.label: arm for arm in study.config.compared}
    assert [type(arm.method) for arm in arms.values()] == [Lora, Promot, Lora]
    # What the example's comment asks to be run first leaves its groups in the folder of its own name.
    first = Study.load(EXAMPLES / "natural_instructions.yaml")
    assert study.base / arms["groups"].groups == first.folder
    readers = [study.config.tasks[0], first.config.tasks[0]]
    assert readers[0].include == readers[1].include
