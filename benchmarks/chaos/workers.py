"""SIGKILL of one of two workers: the study completes."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from chaos.kills import Reference, reference
from chaos.part import Outcome, Part, Setup, in_forks
from chaos.works import GROUPS, OUTPUT, Work, begin, end, load

_SECONDS = 300.0
"""A worker that has not come to life by then never will."""


def _with_two_workers() -> Work:
    study = {**GROUPS.files["study.yaml"], "executor": {"workers": 2}}
    return dataclasses.replace(GROUPS, name="two workers", files={"study.yaml": study})


@dataclass(frozen=True)
class Case:
    """A study whose worker is killed so long after it was born."""

    work: Work
    reference: Reference
    folder: Path
    seconds: float

    def __str__(self) -> str:
        return f"one of two workers killed {self.seconds:.2f} s after its birth"


def kill_a_worker(case: Case) -> Outcome:
    place = case.work.write(case.folder)
    child = begin(case.work.arguments, place)
    worker = _first_worker(child)
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
    outcome.counts.update({"killed": worker is not None, "at work": "worker died" in said})
    outcome.counts.update({"do not complete": bool(status), "with other results": not status and bool(other)})
    if status or other:
        outcome.failures.append(f"{case}: status {status}, others: {other}; {said[-500:]}")
    else:
        shutil.rmtree(place)
    return outcome


def _first_worker(command: int) -> int | None:
    """Wait for a worker of a command to be born."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        try:
            for process in psutil.Process(command).children():
                if "spawn_main" in " ".join(process.cmdline()):
                    return int(process.pid)
            if psutil.Process(command).status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.01)
    return None


def run(cases: int, setup: Setup) -> Outcome:
    load()
    draw = random.Random(setup.seed)
    work = _with_two_workers()
    expected = reference(GROUPS, setup.folder / "reference")
    folders = [setup.folder / str(number) for number in range(cases)]
    # A worker takes a second or two to load, and then is at work or waits for it.
    planned = [Case(work, expected, folder, draw.uniform(0.0, 4.0)) for folder in folders]
    return in_forks(kill_a_worker, planned, setup.processes)


PART = Part("workers", "SIGKILL of one of two workers", 50, 1, run)
