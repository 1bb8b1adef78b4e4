"""Packages whose names are loaded on first use: complete, typed, and never hidden by a module."""

import ast
import importlib
from pathlib import Path

import pytest

import cotune
from cotune._lazy import on_first_use

ROOT = Path(cotune.__file__).parent
PACKAGES = [
    ".".join(file.parent.relative_to(ROOT.parent).parts)
    for file in sorted(ROOT.rglob("__init__.py"))
    if "on_first_use" in file.read_text(encoding="utf-8")
]


def typed(package):
    """Return the module of every name that a type checker is shown."""
    tree = ast.parse(Path(importlib.import_module(package).__file__).read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
            for one in node.body:
                assert one.module.startswith(f"{package}.")
                found |= {alias.name: one.module.removeprefix(f"{package}.") for alias in one.names}
    return found


def test_they_are_found():
    assert {"cotune", "cotune.grouping", "cotune.studies.grouping"} <= set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_and_users_see_the_same_names(package):
    module = importlib.import_module(package)
    assert typed(package) == module._HOMES
    assert set(module._HOMES) <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_takes_the_place_of_a_name(package):
    module = importlib.import_module(package)
    beside = {path.stem for path in Path(module.__file__).parent.iterdir()}
    assert not beside & set(module._HOMES) - ({"group"} if package == "cotune" else set())


def test_other_names_are_missing():
    load = on_first_use("cotune.grouping", {"prepare": "preparation"})
    assert load("prepare") is importlib.import_module("cotune.grouping").prepare
    with pytest.raises(AttributeError, match=r"'cotune\.grouping' has no attribute 'prepaer'"):
        load("prepaer")
