"""Disks that are full, may only be read or report an error, from a file operation on; then all is well."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.kills import WRONG, Reference, counting, judge, reference, stored
from chaos.part import DRAWN, Outcome, Part, Setup, in_forks
from chaos.works import OUTPUT, WORKS, Work, begin, end, finish, load

_CODES = {"full": errno.ENOSPC, "read-only": errno.EROFS, "error": errno.EIO}
_BEYOND = ("small files", "small disk")
_HOWS = (*_CODES, *_BEYOND)
"""Operations are refused in Python, or by the system: no file, or no disk, may grow beyond a size."""


@dataclass(frozen=True)
class Case:
    """A work whose disk refuses from an operation on, or beyond a size."""

    work: Work
    reference: Reference
    folder: Path
    how: str
    operation: int
    size: int

    def __str__(self) -> str:
        at = f"from operation {self.operation}" if self.how in _CODES else f"beyond {self.size:,} bytes"
        return f"{self.work.name}, {self.how} {at}"


def refuse_and_go_on(case: Case) -> Outcome:
    work, place = case.work, case.folder
    mounted = False
    if case.how == "small disk":
        place.mkdir(parents=True)
        size = f"size={max(case.size // 1024, 8)}k"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], capture_output=True)
        mounted = done.returncode == 0
        place = place / "disk"
        if not mounted:
            shutil.rmtree(case.folder)
            return Outcome(Counter({"without the right to mount a small disk": 1}))
    try:
        work.write(place)
        outcome = _refuse(case, place)
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=1G", case.folder], check=True)
        before = stored(place / work.kept)
        status, said = finish(work.arguments, place)
        outcome.add(judge(work, case.reference, place, before, status, said, str(case)))
    finally:
        if mounted:
            subprocess.run(["umount", case.folder], check=True)
    shutil.rmtree(case.folder, ignore_errors=True)
    return outcome


def _refuse(case: Case, place: Path) -> Outcome:
    def refused() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if case.how == "small files":
            resource.setrlimit(resource.RLIMIT_FSIZE, (case.size, resource.RLIM_INFINITY))
        elif case.how in _CODES:
            counting(place, refuse, sqlite=False)

    def refuse(number: int) -> None:
        if number >= case.operation and (case.how != "error" or number == case.operation):
            raise OSError(_CODES[case.how], os.strerror(_CODES[case.how]))

    status = end(begin(case.work.arguments, place, refused))
    said = (place / OUTPUT).read_text(errors="replace")
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    sentence = status == 2 and len(errors) == 1 and str(place) in errors[0]
    # What is said goes into a file of the same disk.
    no_room = status == 2 and not sentence and case.how in _BEYOND and "an error of cotune" not in said
    # What is written for the sake of order alone may fail without a word.
    outcome = Outcome(Counter({"refused": 1, "told in a sentence": sentence, "went on": status == 0}))
    outcome.counts["ended with 2 and no room for the sentence either"] += no_room
    wrong = status != 0 and not sentence and not no_room
    outcome.counts["told otherwise"] += wrong
    if wrong:
        outcome.failures.append(f"{case}: status {status}: {said[-700:]}")
    return outcome


def run(cases: int, setup: Setup) -> Outcome:
    load()
    draw = random.Random(setup.seed)
    works = WORKS[: max(1, cases // 2)]
    found = {work.name: reference(work, setup.folder / "reference") for work in works}
    hows = _HOWS if cases > 20 else _HOWS[:-1]
    turns = -(-cases // (len(works) * len(hows)))

    def planned() -> Iterator[Case]:
        for number in range(DRAWN * cases):
            work, how = works[number % len(works)], hows[number // len(works) % len(hows)]
            expected, turn = found[work.name], number // (len(works) * len(hows)) % turns
            operation = 1 + int((turn + draw.random()) / turns * expected.own)
            size = round(10 ** draw.uniform(3, 5.5))
            yield Case(work, expected, setup.folder / str(number), how, operation, size)

    return in_forks(refuse_and_go_on, planned(), setup.processes, ("refused", cases))


PART = Part(
    "disk",
    "full, read-only and failing disks, then the same command",
    200,
    2,
    run,
    ("refused",),
    ("told otherwise", *WRONG),
)
