"""What an installation brings: little for score tables, the rest by extras, and a sentence where it lacks."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from test_rooms import LIBRARIES, imports

import cotune
from cotune._packages import EXTRAS, explained
from cotune.exceptions import InputError, PackageError

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {"yaml": "pyyaml", "sklearn": "scikit-learn"}
"""Modules that are called other than what is installed."""


def declared(requirements):
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}
    return names - {"cotune"}


def installed_as(modules):
    return {DISTRIBUTIONS.get(module, module) for module in modules}


def third_party(room=""):
    """Return what modules of a room, or of all, import wherever in their files."""
    found = {
        name.partition(".")[0]
        for module, names in imports().items()
        if f"{module}.".startswith(f"cotune.{room}")
        for name in names
    }
    return found - {"cotune"} - set(sys.stdlib_module_names)


BASE = declared(PROJECT["dependencies"])
BROUGHT = {extra: declared(PROJECT["optional-dependencies"][extra]) for extra in EXTRAS}


def test_the_extras_bring_what_errors_say_they_bring():
    for extra, modules in EXTRAS.items():
        assert installed_as(modules) == BROUGHT[extra]
        assert extra == "models" or "cotune[models]" in PROJECT["optional-dependencies"][extra]
    assert not BASE & set().union(*BROUGHT.values())
    assert {"torch", "transformers"} <= BROUGHT["models"]


def test_everything_that_is_imported_is_declared_and_hardly_anything_else():
    of_others = {"markupsafe", "pydantic_core"}  # of Jinja and pydantic, which declare them
    used = installed_as(third_party()) - of_others
    known = BASE | set().union(*BROUGHT.values())
    assert used <= known
    assert known - used <= {"accelerate"}  # which PEFT imports


@pytest.mark.parametrize("room", LIBRARIES)
def test_rooms_that_are_useful_alone_import_what_every_installation_has(room):
    parquet = {"pyarrow"}  # asked for where a table is Parquet
    assert installed_as(third_party(f"{room}.")) - parquet - {"markupsafe"} <= BASE


LIGHT = """
import json, sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in lacking:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

lacking, commands = json.loads(sys.stdin.read())
sys.meta_path.insert(0, Lacking())

import contextlib, io
from cotune.cli.main import main

told = []
for command in commands:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(command)
    told.append([status, out.getvalue(), err.getvalue()])
import cotune, numpy
from cotune.grouping import SDPClustering
same = numpy.arange(6)[:, None] % 2 == numpy.arange(6) % 2
told.append(SDPClustering(2).fit(same.astype(float)).labels_.tolist())
try:
    cotune.tune
except ImportError as error:
    told.append([type(error).__name__, str(error)])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """Run commands where nothing is installed but what every installation has; return what they say."""
    folder = tmp_path_factory.mktemp("light")
    rng = np.random.default_rng(0)
    same = np.arange(9)[:, None] % 3 == np.arange(9) % 3
    names = [f"task-{i}" for i in range(9)]
    rows = (same + 0.1 * rng.normal(size=(9, 9))).tolist()
    cells = [[name, *map(repr, row)] for name, row in zip(names, rows, strict=True)]
    (folder / "table.csv").write_text("\n".join(",".join(row) for row in [["", *names], *cells]))
    (folder / "table.parquet").write_bytes(b"PAR1")
    (folder / "study.yaml").write_text("name: study\n")
    group = ["group", str(folder / "table.csv")]
    commands = {
        "help": ["--help"],
        "group": [*group, "--report", str(folder / "page.html"), "--out", str(folder / "groups.csv")],
        "parquet": ["group", str(folder / "table.parquet")],
        "preview": ["preview", "data.csv", "--model", "model"],
        "plan": ["plan", str(folder / "study.yaml")],
        "run": ["run", str(folder / "study.yaml")],
        "status": ["status", str(folder / "study.yaml")],
        "report": ["report", str(folder / "study.yaml")],
        "tune": ["tune", "data.csv", "--model", "model", "--out", str(folder / "out")],
        "eval": ["eval", "model", "data.csv"],
        "instructions": ["instructions", "data.csv", "--model", "model", "--out", str(folder / "out")],
        "demo": ["demo", "--folder", str(folder / "demo")],
    }
    lacking = [module for modules in EXTRAS.values() for module in sorted(modules)]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT],
        input=json.dumps([lacking, list(commands.values())]),
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    *told, labels, python = json.loads(done.stdout)
    return folder, dict(zip(commands, told, strict=True)), labels, python


def test_tables_are_grouped_and_drawn_without_what_the_extras_bring(light):
    folder, told, labels, _ = light
    status, out, _ = told["group"]
    assert status == 0
    assert "certified optimal" in out
    assert "task-8" in (folder / "page.html").read_text()
    assert len((folder / "groups.csv").read_text().splitlines()) == 10
    assert labels in ([0, 1] * 3, [1, 0] * 3)
    assert told["help"][0] == 0


def test_parquet_without_its_reader_costs_a_sentence(light):
    status, _, err = light[1]["parquet"]
    assert status == 2
    assert "pip install 'cotune[models]', or save it as CSV." in err


@pytest.mark.parametrize(
    "command", ["preview", "plan", "run", "status", "report", "tune", "eval", "instructions", "demo"]
)
def test_commands_that_need_more_say_how_to_install_it(light, command):
    folder, told, _, _ = light
    status, out, err = told[command]
    assert (status, out) == (2, "")
    assert re.fullmatch(
        rf"error: cotune {command} needs packages that are not installed \([\w.]+ is missing\): "
        r"pip install 'cotune\[models\]'\.\n",
        err,
    )
    assert {path.name for path in folder.iterdir()} == {
        *("table.csv", "table.parquet", "study.yaml", "page.html", "groups.csv"),
    }


def test_so_does_the_library(light):
    kind, sentence = light[3]
    assert kind == "PackageError"
    assert sentence.startswith("cotune.tune needs packages")
    assert sentence.endswith("pip install 'cotune[models]'.")


def test_the_error_is_both_a_mistake_of_the_users_and_a_missing_module():
    error = explained(ModuleNotFoundError("No module named 'gguf'", name="gguf"), "Reading a GGUF file")
    assert isinstance(error, PackageError)
    assert isinstance(error, InputError)
    assert isinstance(error, cotune.CotuneError)
    assert error.name == "gguf"
    assert str(error).endswith("(gguf is missing): pip install 'cotune[gguf]'.")


def test_what_no_extra_brings_stays_the_error_that_it_is():
    error = ModuleNotFoundError("No module named 'nowhere'", name="nowhere")
    assert explained(error, "this") is error
