"""SIGKILL of one of two workers: the study completes."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

import psutil

from chaos.kills import Reference, reference
from chaos.part import DRAWN, Outcome, Part, Setup, in_forks
from chaos.works import GROUPS, OUTPUT, WARM, Work, begin, end, load
from cotune.studies.engine import _pool

_SECONDS = 300.0
"""A worker that has not come to life by then never will."""


def _with_two_workers(work: Work) -> Work:
    study = {**work.files["study.yaml"], "executor": {"workers": 2}}
    return dataclasses.replace(work, name=f"{work.name}, two workers", files={"study.yaml": study})


@dataclass(frozen=True)
class Case:
    """A study whose worker is killed so long after it was born."""

    work: Work
    reference: Reference
    folder: Path
    seconds: float

    def __str__(self) -> str:
        return f"{self.work.name}, one killed {self.seconds:.2f} s after its birth"


def kill_a_worker(case: Case) -> Outcome:
    place = case.work.write(case.folder)
    born = case.folder.with_suffix(".born")
    child = begin(case.work.arguments, place, lambda: _from_what_is_loaded(born))
    worker = _first_worker(born, child)
    if worker is not None:
        time.sleep(case.seconds)
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            worker = None
    status = end(child)
    said = (place / OUTPUT).read_text(errors="replace")
    left = case.work.left(place)
    other = sorted(name for name, digest in case.reference.same.items() if left.get(name) != digest)
    outcome = Outcome()
    outcome.counts.update({"killed": worker is not None, "of these at work": "worker died" in said})
    outcome.counts.update({"do not complete": bool(status), "with other results": not status and bool(other)})
    if status or other:
        outcome.failures.append(f"{case}: status {status}, others: {other}; {said[-500:]}")
    else:
        shutil.rmtree(place)
    return outcome


def _from_what_is_loaded(born: Path) -> None:
    """Let workers be forks of a process that has loaded everything, and write down the first one's number.

    In cotune each is an interpreter of its own that loads everything anew, for four seconds. They are
    given jobs, killed and replaced all the same.
    """
    server = forkserver._forkserver  # type: ignore[attr-defined]
    server.ensure_running = lambda: None  # it is a child of the process above
    _pool.get_context = lambda _: get_context("forkserver")  # type: ignore[assignment, attr-defined]
    begin_worker = _pool._WorkerProcess.__init__

    def noted(self: Any, *arguments: Any) -> None:
        begin_worker(self, *arguments)
        if not born.exists():
            born.with_suffix(".new").write_text(str(self.process.pid))
            born.with_suffix(".new").rename(born)

    _pool._WorkerProcess.__init__ = noted  # type: ignore[method-assign]


def _first_worker(born: Path, command: int) -> int | None:
    """Wait for a worker of a command to be born."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        if born.exists():
            return int(born.read_text())
        if psutil.Process(command).status() == psutil.STATUS_ZOMBIE:
            return None
        time.sleep(0.01)
    return None


def run(cases: int, setup: Setup) -> Outcome:
    load()
    draw = random.Random(setup.seed)
    works = (GROUPS, WARM)[: max(1, cases // 2)]
    expected = [reference(work, setup.folder / "reference") for work in works]
    multiprocessing.set_forkserver_preload(["chaos.preload" if WARM in works else "cotune.studies.kinds"])
    forkserver.ensure_running()

    def planned() -> Iterator[Case]:
        for number in range(DRAWN * cases):
            work, alone = works[number % len(works)], expected[number % len(works)]
            folder, seconds = setup.folder / str(number), draw.uniform(0.0, alone.seconds)
            yield Case(_with_two_workers(work), alone, folder, seconds)

    return in_forks(kill_a_worker, planned(), setup.processes, ("killed", cases))


PART = Part(
    "workers",
    "SIGKILL of one of two workers",
    50,
    1,
    run,
    ("killed",),
    ("do not complete", "with other results"),
)
