"""What stands around the benchmarks: the Makefile's targets, and the files that are read as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cotune._config import parse
from cotune.benchmark.recording import assign, read_families
from cotune.studies import load_config
from cotune.studies.engine._config import read_study_file
from cotune.studies.task_files import _TaskFile

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = {path.stem for path in BENCHMARKS.glob("*.py") if "\ndef main(" in path.read_text()}
"""Those that are run; others are a part of them."""
NO_STUDIES = {"families.yaml", "families_templates.yaml", "evaluate.yaml"}
FILES = [*BENCHMARKS.glob("*.yaml"), *(ROOT / "examples").glob("*.yaml")]
STUDIES = sorted(path for path in FILES if path.name not in NO_STUDIES)


def test_every_target_runs_a_script_that_is_there():
    makefile = (ROOT / "Makefile").read_text()
    targets = dict(re.findall(r"^(bench-\w+):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE))
    assert len(targets) >= 9
    for target, recipe in targets.items():
        scripts = re.findall(r"benchmarks/(\w+)\.py", recipe)
        assert scripts, target
        assert set(scripts) <= SCRIPTS, target
    phony = " ".join(re.findall(r"^\.PHONY:(.*)", makefile, re.MULTILINE)).split()
    assert set(phony) >= set(targets)


def test_every_script_has_a_short_form_in_the_tests():
    tests = Path(__file__).with_name("test_benchmarks.py").read_text()
    assert set(re.findall(r"\bbench\(\s*\"(\w+)\"", tests)) == SCRIPTS


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_studies_are_valid(path):
    assert load_config(path).name


def test_files_of_tasks_and_families_are_valid():
    path = BENCHMARKS / "evaluate.yaml"
    readers = parse(_TaskFile, read_study_file(path), str(path)).tasks
    assert sum(len(reader.include) for reader in readers) == 8
    recorded = load_config(BENCHMARKS / "record_families.yaml").tasks
    named = [pattern for reader in recorded for pattern in reader.include]
    tasks = [pattern.replace("*", "name") for pattern in named]
    families = read_families(BENCHMARKS / "families.yaml")
    assert set(assign(tasks, families)) == set(tasks), "every task has a family, every pattern a task"
