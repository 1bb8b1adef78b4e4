"""SIGINT and SIGTERM at random instants: status 130 or 143 at once; the same command then goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from chaos.kills import Reference, judge, reference, stored
from chaos.part import Outcome, Part, Setup, in_forks
from chaos.works import OUTPUT, WORKS, Work, begin, end, finish, load

_AT_ONCE = 10.0


@dataclass(frozen=True)
class Case:
    """A work that gets a signal after so many seconds."""

    work: Work
    reference: Reference
    folder: Path
    number: signal.Signals
    seconds: float

    def __str__(self) -> str:
        return f"{self.work.name}, {self.number.name} after {self.seconds:.3f} s"


def interrupt_and_go_on(case: Case) -> Outcome:
    place = case.work.write(case.folder)
    child = begin(case.work.arguments, place)
    time.sleep(case.seconds)
    os.kill(child, case.number)
    sent = time.monotonic()
    status = end(child)
    spent = time.monotonic() - sent
    said = (place / OUTPUT).read_text(errors="replace")
    outcome = Outcome()
    # One that has ended, or is about to listen, is not interrupted.
    interrupted = status not in (0, -case.number)
    wrong = interrupted and (status != 128 + case.number or "Interrupted" not in said)
    outcome.counts.update({"sent": 1, f"ended with {128 + case.number}": status == 128 + case.number})
    outcome.counts.update({"later than 10 s": spent > _AT_ONCE, "otherwise": wrong})
    if wrong:
        outcome.failures.append(f"{case}: status {status}: {said[-500:]}")
    before = stored(place / case.work.kept)
    status, said = finish(case.work.arguments, place)
    outcome.add(judge(case.work, case.reference, place, before, status, said, str(case)))
    if not outcome.failures:
        shutil.rmtree(place)
    return outcome


def run(cases: int, setup: Setup) -> Outcome:
    load()
    draw = random.Random(setup.seed)
    works = WORKS[: max(1, cases // 2)]
    found = {work.name: reference(work, setup.folder / "reference") for work in works}
    numbers = (signal.SIGINT, signal.SIGTERM)
    planned = [
        Case(
            works[number // 2 % len(works)],
            found[works[number // 2 % len(works)].name],
            setup.folder / str(number),
            numbers[number % 2],
            draw.uniform(0.0, found[works[number // 2 % len(works)].name].seconds),
        )
        for number in range(cases)
    ]
    return in_forks(interrupt_and_go_on, planned, setup.processes)


PART = Part("interrupts", "SIGINT and SIGTERM, then the same command", 100, 1, run)
