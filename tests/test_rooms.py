"""The house: which room may know of which, what stands on what, and that nothing goes in circles."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cotune

ROOT = Path(cotune.__file__).parent
CORE = {
    "_config",
    "_files",
    "_frames",
    "_html",
    "_json",
    "_lazy",
    "_neutral",
    "_packages",
    "_places",
    "_processes",
    "_registry",
    "_repr",
    "_sandbox",
    "_seals",
    "_steps",
    "_storage",
    "_yaml",
    "exceptions",
}
"""Modules beside the rooms, for all of them."""

MODELS = {"tasks", "models", "answering", "training"}
ROOMS = {
    "tasks": set(),
    "models": {"tasks"},
    "answering": {"tasks", "models"},
    "training": {"tasks", "models", "answering"},
    "evaluation": MODELS,
    "affinity": set(),
    "grouping": set(),
    "findings": {"tasks", "evaluation", "grouping"},
    "report": {"findings"},
    "instructions": {"tasks", "models", "answering"},
    "lab": {"tasks", "models", "training"},
    "studies": {*MODELS, "evaluation", "affinity", "grouping", "findings", "report", "lab"},
    "benchmark": {*MODELS, "affinity", "grouping", "findings", "report", "lab", "studies"},
}
"""What each room may import; the command line, which is no room's neighbour, may import all of them."""

LIBRARIES = {
    "affinity": {"numpy", "scipy", "pyarrow"},  # the last where a table is Parquet
    "grouping": {"numpy", "scipy", "sklearn"},
    "findings": {"numpy", "scipy", "sklearn"},
    "report": {"numpy", "jinja2", "markupsafe"},
}
"""Rooms that are useful alone, and all that they need."""


@cache
def imports():
    """Return the names that every module imports, wherever in its file, those for types among them."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[module] = names = []
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not node.level
                names += [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
    return found


def of(room):
    """Yield module and name of everything that a room imports."""
    for module, names in imports().items():
        if f"{module}.".startswith(f"cotune.{room}."):
            yield from ((module, name) for name in names)


def room_of(name):
    return name.split(".")[1] if name.startswith("cotune.") else None


def test_these_are_all_the_rooms():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == {*ROOMS, "cli"}
    assert {path.stem for path in ROOT.glob("*.py")} == {*CORE, "__init__", "__main__"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_the_house_allows(room):
    known = {room, *ROOMS[room], *CORE, "__version__"}
    beyond = {f"{module}: {name}" for module, name in of(room) if room_of(name) not in {None, *known}}
    # The public face is for users: what is inside names the room that it needs.
    beyond |= {f"{module}: {name}" for module, name in of(room) if name == "cotune"}
    assert not beyond


@pytest.mark.parametrize("module", sorted(CORE))
def test_what_stands_beside_the_rooms_knows_none_of_them(module):
    assert {room_of(name) for _, name in of(module)} <= {None, *CORE}


@pytest.mark.parametrize("room", LIBRARIES)
def test_rooms_that_are_useful_alone_need_little(room):
    tops = {name.split(".")[0] for _, name in of(room)} - {"cotune"} - set(sys.stdlib_module_names)
    assert tops <= LIBRARIES[room]
    core = {room_of(name) for _, name in of(room)} & CORE
    assert core <= {
        "_files",
        "_frames",
        "_html",
        "_lazy",
        "_neutral",
        "_packages",
        "_repr",
        "_seals",
        "_storage",
        "exceptions",
    }  # no pydantic


def test_no_room_is_reached_from_what_it_reaches():
    list(TopologicalSorter(ROOMS).static_order())  # raises where there is a circle


def test_modules_do_not_import_in_circles():
    known = imports()

    def target(name):
        return name if name in known else name.rpartition(".")[0]

    # The face imports everything for type checkers, and nothing when it is imported.
    graph = {
        module: {target(name) for name in names if target(name) in known} - {module, "cotune"}
        for module, names in known.items()
        if module != "cotune"
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_findings_draw_nothing_and_load_no_model():
    kinds = ("grouping", "retention", "transfer", "functions", "comparison")
    rooms = ", ".join(f"cotune.findings.{kind}" for kind in kinds)
    heavy = "{'matplotlib', 'jinja2', 'torch', 'sklearn', 'cotune.report', 'cotune.studies'}"
    code = f"import {rooms}, sys; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
