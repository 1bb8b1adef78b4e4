"""SIGINT and SIGTERM at random instants: status 130 or 143 at once; the same command then goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.kills import WRONG, Reference, judge, reference, stored
from chaos.part import DRAWN, Outcome, Part, Setup, in_forks
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
    # One that has ended, or is about to listen, is not interrupted: another is drawn.
    interrupted = status not in (0, -case.number)
    right = status == 128 + case.number and "Interrupted" in said
    wrong = interrupted and not right
    outcome.counts.update({_ended_with(case.number): right, "done before": not interrupted})
    outcome.counts.update({"later than 10 s": spent > _AT_ONCE, "otherwise": wrong})
    if wrong:
        outcome.failures.append(f"{case}: status {status}: {said[-500:]}")
    before = stored(place / case.work.kept)
    status, said = finish(case.work.arguments, place)
    outcome.add(judge(case.work, case.reference, place, before, status, said, str(case)))
    if not outcome.failures:
        shutil.rmtree(place)
    return outcome


def _ended_with(number: signal.Signals) -> str:
    return f"ended with {128 + number}"


def run(cases: int, setup: Setup) -> Outcome:
    """Interrupt one half by each signal."""
    load()
    works = WORKS[: max(1, cases // 2)]
    found = [reference(work, setup.folder / "reference") for work in works]
    outcome = Outcome()

    def planned(number: signal.Signals) -> Iterator[Case]:
        draw = random.Random(f"{number.name} {setup.seed}")
        for at in range(DRAWN * cases):
            work, expected = works[at % len(works)], found[at % len(works)]
            seconds = draw.uniform(0.0, expected.seconds)
            yield Case(work, expected, setup.folder / f"{number.name}-{at}", number, seconds)

    for number, wanted in ((signal.SIGINT, cases - cases // 2), (signal.SIGTERM, cases // 2)):
        cases_of = planned(number)
        enough = (_ended_with(number), wanted)
        outcome.add(in_forks(interrupt_and_go_on, cases_of, setup.processes, enough))
    return outcome


PART = Part(
    "interrupts",
    "SIGINT and SIGTERM, then the same command",
    100,
    1,
    run,
    (_ended_with(signal.SIGINT), _ended_with(signal.SIGTERM)),
    ("later than 10 s", "otherwise", *WRONG),
)
