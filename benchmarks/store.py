"""What looking at a study with 10,000 runs in its store takes: `cotune status` and `cotune report`.

The study has planted tasks, whose runs train nothing; it is run first, and then looked at by the commands
themselves, each in a process of its own. Between them runs are taken out of the store, so that it is as it
was while they were done, or what is kept of the groups.

    python benchmarks/store.py
    python benchmarks/store.py --runs 400 --tasks 20
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

SUBSET = 4


def study(tasks: int, runs: int) -> dict[str, object]:
    """Return a study of so many runs: what is compared, every task alone, and the rest subsets."""
    return {
        "name": "ten thousand",
        "learner": {"kind": "planted", "tasks": tasks, "groups": max(tasks // 10, 2), "noise": 0.1},
        "affinity": {
            "estimator": "higher_order",
            "subset_size": SUBSET,
            "subsets": runs - 5 * tasks,
        },
        "comparison": {"budgets": [4], "seeds": 3},
        "executor": {"workers": 0},
    }


def took(*command: str) -> tuple[float, float, int]:
    """Run a command; return its seconds, its processor seconds and its largest memory in bytes."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def took_here(*command: str) -> tuple[float, float, int]:
    """Do the same in this process, whose memory is that of all it did before."""
    from cotune.cli.main import main as run

    if command[0] == "-c":
        return 0.0, 0.0, 0  # it is loaded
    begun, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        status = run(list(command[2:]))
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return time.perf_counter() - begun, time.process_time() - cpu, memory


def forget_runs(store: Path, split: str, number: int) -> None:
    """Take out the last runs that were scored on a split."""
    scored = "identity LIKE '%' || ? || '%' ORDER BY rowid DESC LIMIT ?"
    forget = f"DELETE FROM runs WHERE rowid IN (SELECT rowid FROM runs WHERE {scored})"
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute(forget, (f'"split": "{split}"', number))


def forget_groups(shared: Path) -> None:
    """Take away what is kept of the groups."""
    for file in shared.glob("groups-*"):
        file.unlink()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the study is kept; by default nowhere")
    parser.add_argument("--here", action="store_true", help="all in this process, as the tests do")
    options = parser.parse_args(argv)
    take = took_here if options.here else took
    with tempfile.TemporaryDirectory() as folder:
        home = options.folder or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        file = home / "study.yaml"
        file.write_text(yaml.safe_dump(study(options.tasks, options.runs), sort_keys=False))
        store, shared = home / "study" / "runs.sqlite", home / "study" / "shared"
        few = max(options.runs // 100, 1)
        row("run", take("-m", "cotune", "run", str(file)))
        row("loading alone", take("-c", "import cotune.cli.main, cotune.studies.kinds"))
        row("status, nothing new", take("-m", "cotune", "status", str(file)))
        forget_runs(store, "test", few)
        row("status, comparison under way", take("-m", "cotune", "status", str(file)))
        row("report, groups known", take("-m", "cotune", "report", str(file)))
        forget_groups(shared)
        row("report, groups to be found", take("-m", "cotune", "report", str(file)))
        forget_runs(store, "test", options.runs)
        forget_runs(store, "validation", few)
        row("status, affinity under way", take("-m", "cotune", "status", str(file)))


def row(what: str, figures: tuple[float, float, int]) -> None:
    seconds, cpu, memory = figures
    print(f"{what:<30}{seconds:8.2f} s{cpu:8.2f} s of processor time{memory / 2**20:8.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
