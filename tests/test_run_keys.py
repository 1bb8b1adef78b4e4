"""Keys of runs do not move: what is stored is found again by later versions.

A key here changes only with what determines the run: its recipe, its data, how it is scored, or the
``_FORMAT`` of its kind.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cotune._config import parse
from cotune.lab.function_classes import FunctionClassConfig
from cotune.models.config import ModelConfig
from cotune.studies import Study
from cotune.studies.tuning import TuneConfig
from cotune.studies.tuning._run import _Tuning
from cotune.tasks import Example, Task, Turn
from cotune.training.language_model import LanguageModelConfig
from cotune.training.methods import METHODS
from cotune.training.tuning import TuningConfig
from cotune.training.tuning._tuner import Tuner

TEXT = {"text": {"source": "files", "path": "corpus.txt"}, "ratio": 0.5}
RECIPE = {
    "scheme": {"name": "temperature", "temperature": 2.0},
    "balancing": {"name": "dwa"},
    "task_weights": {"a*": 0.5},
    "replay": TEXT,
    "batch_size": 4,
}
OF_ONE_TASK = {"schedule": "linear", "label_smoothing": 0.1, "replay": TEXT, "batch_size": 4}
PROMOT = {"name": "promot", "prompt_length": 4, "weights": {"name": "lora", "r": 2}}


@pytest.fixture
def home(tmp_path) -> Path:
    """A folder with a model nobody loads, two tasks and a text."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "corpus.txt").write_text("some text\n\nmore text\n")
    for name in ("alpha", "beta"):
        rows = [{"input": f"{name} {i}", "output": str(i)} for i in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def task(name: str) -> Task:
    splits = {split: (Example(f"{name} of {split}", ("yes",)),) for split in ("train", "validation", "test")}
    return Task(name, "Answer.", splits, metric="exact_match")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "2bcea45d50530827"),
        ({"method": PROMOT}, "b752648bc458f9a1"),
        ({"method": {"name": "full", "demonstrations": 1}, "training": RECIPE}, "3465926b725ab71e"),
        ({"warm_start": {"steps": 4}}, "7bf393ea152d8cc6"),
        ({"adapt_from": 12}, "a71cc5bbd6483ffb"),
        # While shares were rounded it was 5d77af0c889ac9d2, of another layer.
        ({"adapt_from": 0.75}, "ec184f6a0383dd74"),
    ],
)
def test_learners_of_language_models(home, options, key):
    config = parse(LanguageModelConfig, {"model": "model", "precision": "fp32", **options}, "learner")
    learner = config.build([task("alpha"), task("beta")], home)
    assert learner.fingerprint[:16] == key


def test_plain_text_has_the_keys_of_before_there_were_chats(home):
    def key(**options):
        config = parse(LanguageModelConfig, {"model": "model", "precision": "fp32", **options}, "learner")
        return config.build([task("alpha")], home).fingerprint

    assert key() == key(format="plain") == key(format="auto"), "there is no template"
    chat = key(format="chat")
    assert chat != key()
    (home / "model" / "chat_template.jinja").write_text("{{ messages }}")
    assert key(format="chat") != chat
    assert key(format="plain") == key()


def test_who_said_what_is_in_the_key_of_a_task_where_it_is_read(home):
    said = Example("User: a\nAssistant: b\nUser: c", ("d",))
    turns = (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"))
    text, talk = (Task("talk", "", {"train": (e,)}) for e in (said, replace(said, turns=turns)))
    model = parse(ModelConfig, {"model": "model"}, "model")
    assert model.reads(talk, home).fingerprint == text.fingerprint
    assert text.fingerprint[:16] == "bc3b1cca2ce2b914"
    chat = parse(ModelConfig, {"model": "model", "format": "chat"}, "model")
    assert chat.reads(talk, home) is talk
    assert talk.fingerprint != text.fingerprint


def test_learners_of_function_classes():
    config = parse(FunctionClassConfig, {}, "learner")
    assert config.build([], Path()).fingerprint[:16] == "5742be8afe7f05f5"


@pytest.mark.parametrize(
    ("method", "recipe", "key"),
    [
        ({"name": "lora"}, {}, "6dc86b780334e72a"),
        (PROMOT, {"training": RECIPE, "steps": 3}, "e251d59863e2bef6"),
    ],
)
def test_stages_of_tuning(method, recipe, key, home):
    options = {key: value for key, value in method.items() if key != "name"}
    tuner = Tuner(
        model=None,
        method=parse(METHODS[method["name"]], options, "method"),
        attached=None,
        tasks=[task("alpha")],
        config=parse(TuningConfig, recipe, "recipe"),
        seed=1,
        watch=None,
        shared=None,
        progress=None,
        base=home,
    )
    assert tuner._keys[-1][:16] == key, "the last covers all stages"


STUDIES = {
    "grouping": {
        "learner": {"kind": "language_model", "model": "model", "precision": "fp32", "method": PROMOT},
        "comparison": {
            "budgets": [2],
            "seeds": 1,
            "arms": ["joint", {"name": "joint", "label": "full", "method": {"name": "full"}}],
        },
    },
    "retention": {
        "kind": "retention",
        "model": "model",
        "precision": "fp32",
        "targets": "alpha",
        "methods": [{"name": "full"}, {"label": "two stages", **PROMOT}],
        "steps": 4,
        "training": OF_ONE_TASK,
        "seeds": 1,
    },
    "transfer": {
        "kind": "transfer",
        "model": "model",
        "precision": "fp32",
        "held_out": "beta",
        "schemes": ["uniform", {"name": "temperature", "temperature": 2.0}],
        "arms": [{"label": "two stages", "method": PROMOT}],
        "training": {"batch_size": 4, "balancing": {"name": "pcgrad"}},
        "replay": {"text": TEXT["text"]},
        "replay_ratios": [0, 0.5],
        "transfer": {"examples": [0, 2], "method": {"name": "full"}},
        "along": 2,
        "steps": 4,
        "seeds": 1,
    },
}


KEYS = {
    "grouping": {
        "fit": "320ddbc1aadbd937",
        "varied_fit": "62fad28bb1f85ffc",
        "folder": "c0cef4ee3fdc696a",
    },
    "retention": {
        "pretrained": "375bd176a2c1451b",
        "tune": "6f22acf36e8add2c",
        "folder": "b1bbfcba20811b57",
    },
    "transfer": {
        "instruct": "7d96c8ec0e584aa8",
        "measure": "44d57ea061598c53",
        "folder": "452db12d7db539d9",
    },
}


def keys_of(study: Study) -> dict:
    """One key of every kind of run there is."""
    if study.config.kind == "grouping":
        from cotune.studies.grouping._runs import FitRun, VariedRun

        varied = study.config.comparison.every_arm[-1]
        fit = FitRun(("alpha", "beta"), 3, 2, "test")
        other = VariedRun(("alpha", "beta"), 3, 2, "test", varied.text())
        return {run.kind: study.key(run) for run in (fit, other)}
    runs = [run for runs in study.runs.values() for run in runs]
    return {run.kind: study.key(run) for run in [*runs, *study.cells.values()]}


@pytest.mark.parametrize("kind", STUDIES)
def test_runs_and_folders_of_studies(kind, home):
    tasks = [
        {"reader": "jsonl", "path": f"{name}.jsonl", "template": "{{ input }} ||| {{ output }}"}
        for name in ("alpha", "beta")
    ]
    file = home / "study.yaml"
    file.write_text(yaml.safe_dump({"name": "kept", "tasks": tasks, **STUDIES[kind]}))
    study = Study.load(file)
    found = {**keys_of(study), "folder": study.identity["sources"]}
    assert {name: key[:16] for name, key in found.items()} == KEYS[kind]


def test_runs_of_one_stage_have_the_keys_of_before_step_0_was_no_candidate(home):
    one = {**STUDIES["retention"], "methods": [{"name": "full"}]}
    tasks = [
        {"reader": "jsonl", "path": f"{name}.jsonl", "template": "{{ input }} ||| {{ output }}"}
        for name in ("alpha", "beta")
    ]
    file = home / "study.yaml"
    file.write_text(yaml.safe_dump({"name": "kept", "tasks": tasks, **one}))
    study = Study.load(file)
    assert [study.key(run)[:16] for run in study.cells.values()] == ["d8b10cf25c9d2b86"]


def test_tuning_of_one_task(home):
    def key(method):
        data = {"model": "model", "precision": "fp32", "method": method, "training": OF_ONE_TASK}
        config = parse(TuneConfig, data, "tune")
        return _Tuning(config, (task("alpha"),), (task("beta"),), home / "out", home, None, config).key[:16]

    assert key({**PROMOT, "prompt_learning_rate": 0.2}) == "5063b15b8cef9672"
    assert key(PROMOT) not in ("5063b15b8cef9672", key({**PROMOT, "prompt_learning_rate": 0.1}))
