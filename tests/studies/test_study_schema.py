"""The schema for editors says of study files what reading them says."""

import copy
import json
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from json_schemas import problem
from test_run_keys import STUDIES

from cotune.cli.main import main
from cotune.exceptions import InputError
from cotune.studies import load_config
from cotune.studies.schema import study_schema

ROOT = Path(__file__).parents[2]
ASSETS = Path(str(files("cotune.lab") / "assets"))
SHIPPED = [*sorted((ROOT / "examples").glob("*.yaml")), *sorted(ASSETS.glob("*.yaml"))]


@pytest.fixture(scope="module")
def schema():
    return json.loads(json.dumps(study_schema()))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_files_are_valid(file, schema):
    assert problem(yaml.safe_load(file.read_text()), schema, schema) is None


@pytest.mark.parametrize("kind", STUDIES)
def test_studies_of_every_kind_are_valid_written_shortly_and_in_full(kind, schema, tmp_path):
    path = tmp_path / "study.yaml"
    data = {"name": "full", "kind": kind, "tasks": {"path": "data"}, **STUDIES[kind]}
    assert problem(data, schema, schema) is None
    if "tasks" in STUDIES[kind]:
        path.write_text(yaml.safe_dump(data))
        assert problem(load_config(path).plain(), schema, schema) is None


SHORT = {
    "name": "short",
    "tasks": {"path": "data", "labels": ["no", "yes"], "max_examples": {"train": None}},
    "learner": {"kind": "language_model", "model": "toy_language"},
    "comparison": {"budgets": [4, "converged"], "arms": ["grouped", {"name": "joint", "label": "all"}]},
}
WRONG = [
    ("nme", "x"),
    ("seed", -1),
    ("seed", "one"),
    ("tasks", {"path": "data", "exclud": []}),
    ("tasks", {"reader": "jsonI", "path": "data"}),
    ("learner", {"kind": "language_model"}),
    ("learner", {"kind": "language_model", "model": "m", "training": {"batch_size": 0}}),
    ("affinity", {"estimator": "gradient_cosine", "subsets": 3}),
    ("grouping", {"n_clusters": 0}),
    ("comparison", {"arms": ["groupd"]}),
    ("comparison", {"budgets": []}),
    ("kind", "grouping2"),
]


@pytest.mark.parametrize(("key", "value"), WRONG, ids=lambda part: str(part)[:40])
def test_what_reading_refuses_is_marked(key, value, schema, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(SHORT))
    load_config(path)
    assert problem(SHORT, schema, schema) is None
    wrong = copy.deepcopy(SHORT) | {key: value}
    path.write_text(yaml.safe_dump(wrong))
    with pytest.raises(InputError):
        load_config(path)
    assert problem(wrong, schema, schema)


def test_keys_say_what_they_are_for(schema):
    for name, one in schema["$defs"].items():
        for key, content in one.get("properties", {}).items():
            # What the class of a value says already is not said again.
            assert content.get("description") or "$ref" in content, f"{name}.{key}"


def test_the_command_prints_it_or_writes_it(schema, tmp_path, capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema
    assert main(["schema", "--out", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text()) == schema
