"""One study in processes of other hash seeds and with other numbers of workers leaves the same files.

Everything is compared byte for byte but for when and how long: docs/determinism.md says what else results
depend on.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import yaml

from chaos.part import Outcome, Part, Setup
from cotune.lab.toy_language import TOY_CHECKPOINT

WAYS = (("0", 0), ("1", 0), ("2", 2), ("1", 1), ("0", 1), ("0", 2), ("1", 2), ("2", 0), ("2", 1))
"""Hash seed and number of workers; the first is what the others are compared with."""

STUDY = {
    "name": "the same",
    "seed": 3,
    "tasks": {
        "reader": "toy_language",
        "include": ["copy", "first", "last"],
        "max_examples": {"train": 4, "validation": 1, "test": 2},
    },
    "learner": {
        "kind": "language_model",
        "model": str(TOY_CHECKPOINT),
        "precision": "fp32",
        "training": {"batch_size": 2, "tasks_per_batch": 2, "learning_rate": 0.01},
    },
    "affinity": {"estimator": "pairwise", "steps_per_task": 1},
    "grouping": {"n_clusters": 2},
    "comparison": {"budgets": [1], "seeds": 1, "arms": ["grouped", "joint"]},
}
_TIMES = (
    *("seconds", "cpu_seconds", "wall_seconds", "peak_bytes", "started", "finished", "created"),
    *("sha256", "checksum", "pid"),
)
"""Columns of the store and keys of JSON that say when and how long, and what is computed from them."""


def determinism(cases: int, setup: Setup) -> Outcome:
    """Run the study in so many ways, and compare what is left."""
    outcome = Outcome()
    first: Mapping[str, object] | None = None
    with ThreadPoolExecutor(setup.processes) as pool:
        ends = pool.map(partial(_run, setup.folder), WAYS[:cases])
        for (seed, workers), ended in zip(WAYS[:cases], ends, strict=True):
            way = f"hash seed {seed}, {workers} workers"
            outcome.counts["ways"] += 1
            if isinstance(ended, str):
                outcome.counts["do not complete"] += 1
                outcome.failures.append(f"{way}: {ended}")
                continue
            first = ended if first is None else first
            differ = sorted(name for name in {*first, *ended} if first.get(name) != ended.get(name))
            outcome.counts["files that differ"] += len(differ)
            outcome.failures += [f"{way}: {name} differs from that of hash seed 0 alone" for name in differ]
    outcome.counts["files of each"] = len(first or ())
    return outcome


def _run(folder: Path, way: tuple[str, int]) -> Mapping[str, object] | str:
    """Run the study in a way; return what is left of it, or what went wrong."""
    seed, workers = way
    home = folder / f"way-{seed}-{workers}"
    home.mkdir()
    (home / "study.yaml").write_text(yaml.safe_dump({**STUDY, "executor": {"workers": workers}}))
    env = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "cotune", "run", "study.yaml"]
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True)
    return f"status {done.returncode}: {done.stderr[-300:]}" if done.returncode else _content(home)


def _content(home: Path) -> dict[str, object]:
    """Return what a study left, by file, without times and without where it lies."""
    found: dict[str, object] = {}
    for file in sorted((home / "study").rglob("*")):
        name = file.relative_to(home).as_posix()
        if file.is_dir() or name.endswith(("-wal", "-shm", "lock")):
            continue
        found[name] = _rows(file) if file.suffix == ".sqlite" else _timeless(file, home)
    return found


def _rows(file: Path) -> list[str]:
    with sqlite3.connect(file) as store:
        store.row_factory = sqlite3.Row
        tables = [name for (name,) in store.execute("select name from sqlite_master where type = 'table'")]
        rows = [(table, dict(row)) for table in tables for row in store.execute(f'select * from "{table}"')]
    kept = [(table, {key: value for key, value in row.items() if key not in _TIMES}) for table, row in rows]
    # Rows stand in the order in which runs ended.
    return sorted(json.dumps(row, default=repr, sort_keys=True) for row in kept)


def _timeless(file: Path, home: Path) -> bytes:
    data = file.read_bytes().replace(str(home).encode(), b"HOME")
    if file.suffix == ".csv":
        header, *rows = csv.reader(io.StringIO(data.decode()))
        kept = [at for at, column in enumerate(header) if "seconds" not in column]
        return "\n".join(",".join(row[at] for at in kept) for row in (header, *rows)).encode()
    if file.suffix in (".html", ".md", ".json"):
        data = re.sub(rb'"(' + "|".join(_TIMES).encode() + rb')": ("[^"]*"|[\d.e-]+)', b"TIME", data)
        data = re.sub(rb"(\b\d+(\.\d+)? (s|min|h|[KMG]iB)\b ?)+", b"TIME", data)
    return data


PART = Part(
    "determinism",
    "a study with other hash seeds and workers",
    len(WAYS),
    2,
    determinism,
    ("ways",),
    ("files that differ", "do not complete"),
)
