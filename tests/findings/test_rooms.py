"""Findings judge and reports draw: what each room may know of the others."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cotune

ROOT = Path(cotune.__file__).parent
CORE = {"_files", "exceptions"}


def imported(folder):
    """Rooms that the files of a folder import, wherever in a file they do."""
    found = {}
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cotune."):
                found.setdefault(node.module.split(".")[1], file.name)
    return found


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("findings", {"findings", "evaluation", "grouping", "tasks"}),
        ("report", {"report", "findings"}),
    ],
)
def test_a_room_imports_what_is_left_of_it_alone(room, allowed):
    found = imported(room)
    assert room in found
    beyond = {name: file for name, file in found.items() if name not in allowed | CORE}
    assert not beyond


def test_findings_draw_nothing_and_load_no_model():
    kinds = ("grouping", "retention", "transfer", "functions", "comparison")
    rooms = ", ".join(f"cotune.findings.{kind}" for kind in kinds)
    heavy = "{'matplotlib', 'jinja2', 'torch', 'sklearn', 'cotune.report', 'cotune.studies'}"
    code = f"import {rooms}, sys; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
