"""A package that adds one of everything, installed and used through study files in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from cotune.lab.toy_language import TOY_CHECKPOINT

SOURCE = Path(__file__).parent / "plugins"
INSTALL = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder that the package is installed in."""
    site, source = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source") / "plugins"
    shutil.copytree(SOURCE, source)
    done = subprocess.run(
        [sys.executable, *INSTALL, "--target", str(site), str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture
def python(site, tmp_path):
    """Run Python with the package beside cotune, in a folder with tasks."""
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for name in ("first-1", "first-2", "last-1", "last-2"):
        lines = [f"{i % 8} {i % 5} {i % 7}\t{i % 8 if 'first' in name else i % 7}" for i in range(40)]
        (tasks / f"{name}.tsv").write_text("\n".join(lines))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
        )

    return run


def study(folder: Path, **changes) -> str:
    data = {
        "name": "plugged",
        "tasks": {
            "reader": "tabs",
            "path": "tasks",
            "max_examples": {"train": 12, "validation": 3, "test": 4},
        },
        "learner": {"kind": "nearest", "most": 50},
        "affinity": {"estimator": "categories"},
        "grouping": {"n_clusters": 2},
        "comparison": {"budgets": [2], "seeds": 1, "arms": ["joint"]},
        "executor": {"workers": 1},
        **changes,
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(data))
    return "study.yaml"


def groups(folder: Path) -> list[list[str]]:
    found = json.loads((folder / "study" / "groups.json").read_text())["groups"]
    return sorted(sorted(group["tasks"] if isinstance(group, dict) else group) for group in found)


def test_its_learner_estimator_and_reader_make_a_study(python, tmp_path):
    done = python("-m", "cotune", "run", study(tmp_path))
    assert done.returncode == 0, done.stderr + done.stdout
    assert groups(tmp_path) == [["first-1", "first-2"], ["last-1", "last-2"]]


def test_its_method_and_scheme_train(python, tmp_path):
    learner = {
        "kind": "language_model",
        "model": str(TOY_CHECKPOINT),
        "precision": "fp32",
        "method": {"name": "norms"},
        "training": {"scheme": {"name": "square_root"}, "batch_size": 2, "learning_rate": 0.01},
    }
    done = python("-m", "cotune", "run", study(tmp_path, learner=learner, executor={"workers": 0}))
    assert done.returncode == 0, done.stderr + done.stdout
    before = load_file(TOY_CHECKPOINT / "model.safetensors")
    after = load_file(next((tmp_path / "study").rglob("model.safetensors")))
    changed = {name for name, tensor in after.items() if name in before and (tensor != before[name]).any()}
    assert changed
    assert all("norm" in name for name in changed)


MISTAKES = [
    (
        {"affinity": {"estimator": "categores"}},
        "affinity.estimator: must be one of: adaptive, calibrated, categories, first_order, gradient_cosine, "
        "higher_order, kernel_surrogate, linear_surrogate, lookahead, pairwise, paper_adaptive; got "
        "'categores' (did you mean 'categories'?).",
    ),
    (
        {"affinity": {"estimator": "categories", "acros": 1}},
        "affinity.acros: unknown key (did you mean 'across'?).",
    ),
    ({"learner": {"kind": "nearst"}}, "got 'nearst' (did you mean 'nearest'?)."),
    (
        {"learner": {"kind": "language_model", "model": "m", "method": {"name": "broken"}}},
        "learner.method.name: 'broken' is added by the package cotune-sample 1.0 (cotune.methods: "
        "cotune_sample.gone:Gone) and cannot be used: it raises ModuleNotFoundError (No module named "
        "'cotune_sample.gone').",
    ),
]
LOOK = """
import json, sys
from pathlib import Path
from cotune.exceptions import InputError
from cotune.studies.kinds import KINDS, load_config
told = []
for file in sys.argv[1:]:
    try:
        load_config(Path(file))
    except InputError as error:
        told.append(str(error))
print(json.dumps([told, KINDS["grouping"].config_class.model_json_schema()]))
"""


def test_its_names_are_in_errors_and_its_options_in_the_schema(python, tmp_path):
    files = []
    for at, (changes, _) in enumerate(MISTAKES):
        files.append(f"{at}.yaml")
        (tmp_path / study(tmp_path, **changes)).rename(tmp_path / files[-1])
    done = python("-c", LOOK, *files)
    assert done.returncode == 0, done.stderr
    told, schema = json.loads(done.stdout)
    for (_, expected), sentence in zip(MISTAKES, told, strict=True):
        assert sentence.endswith(expected)
    defined = schema["$defs"]
    for cls, key, name in (
        ("Categories", "estimator", "categories"),
        ("Nearest", "kind", "nearest"),
        ("Norms", "name", "norms"),
        ("TabsReader", "reader", "tabs"),
        ("SquareRoot", "name", "square_root"),
    ):
        assert defined[cls]["properties"][key]["const"] == name
    assert defined["Categories"]["properties"]["across"]["default"] == 0.0
    assert "broken" not in json.dumps(schema)


def test_help_imports_nothing_of_it(python):
    done = python("-X", "importtime", "-m", "cotune", "--help")
    assert done.returncode == 0
    assert "cotune_sample" not in done.stderr
    assert "cotune._registry" not in done.stderr
