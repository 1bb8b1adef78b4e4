"""Files that are damaged: each is noticed when it is read, and none is used."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.kills import Reference, counting, reference, stored
from chaos.part import DRAWN, Outcome, Part, Setup, in_forks
from chaos.works import (
    RETENTION,
    TRANSFER,
    TUNE,
    WARM,
    WORKS,
    Work,
    begin,
    end,
    finish,
    load,
    same_but_for_rounding,
    timeless,
)
from cotune.exceptions import CotuneError
from cotune.studies.doctor import examine
from cotune.studies.engine import open_store

_RUN_AGAIN = 10
"""Of so many damaged files one is read by the command itself; all are by ``cotune doctor``."""
_WRITTEN_ONLY = ("*.csv", "report.html", "groups.json", "results.json", "README.md", ".lock", "output.txt")
"""What commands write for people and never read."""

Spoil = Callable[[bytes, random.Random], bytes | None]


def _flip(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]


def _blank(content: bytes, draw: random.Random) -> bytes:
    at, length = draw.randrange(len(content)), draw.choice((1, 64, 4096))
    return content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]


SPOILS: dict[str, Spoil] = {
    "a bit": _flip,
    "zeros": _blank,
    "cut": lambda content, draw: content[: draw.randrange(len(content))],
    "noise": lambda content, draw: draw.randbytes(len(content)),
    "more": lambda content, draw: content + draw.randbytes(draw.randrange(1, 100)),
    "gone": lambda content, draw: None,
}


@dataclass(frozen=True)
class Subject:
    """A folder with files to damage.

    Parameters
    ----------
    work : Work
        The command that made it.
    folder : Path
        As it was left, which is copied for every case.
    reference : Reference
        What the command comes to.
    """

    work: Work
    folder: Path
    reference: Reference

    @property
    def files(self) -> list[Path]:
        """What commands read."""
        given = {self.folder / name for name in self.work.files}
        return [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path not in given and not any(path.match(p) for p in _WRITTEN_ONLY)
        ]


_MADE_ANEW = "in files that SQLite makes anew"
_ROOM_FOR_NOTHING = {
    ".sqlite": "in bytes that hold nothing",
    ".sqlite-wal": _MADE_ANEW,
    ".sqlite-shm": _MADE_ANEW,
    ".sha256": "in a checksum before the last",
}
"""Files with bytes that nothing rests on, and what they are: free pages; a log whose rows are in the database
already and an index that the next command makes anew; the checksum of what was written before."""


@dataclass(frozen=True)
class Case:
    """A file that is damaged."""

    subject: Subject
    file: Path
    how: str
    folder: Path
    seed: int
    run: bool

    def __str__(self) -> str:
        return f"{self.subject.work.name}, {self.file.relative_to(self.subject.folder)}: {self.how}"


def subjects(folder: Path, works: tuple[Work, ...], short: bool) -> list[Subject]:
    """Run works to their end, and those with states half way."""
    found = []
    for work in works:
        expected = reference(work, folder / "reference")
        place = work.write(folder / work.name / "whole")
        end(begin(work.arguments, place))
        found.append(Subject(work, place, expected))
        if work in (TUNE, RETENTION, TRANSFER):
            for share in (0.5, 0.75)[: 1 if short else 2]:
                place = work.write(folder / work.name / str(share))
                last = int(share * expected.operations)

                def deadly(number: int, last: int = last) -> None:
                    if number == last:
                        os.kill(os.getpid(), signal.SIGKILL)

                end(begin(work.arguments, place, lambda place=place, act=deadly: counting(place, act)))
                found.append(Subject(work, place, expected))
    return found


def spoil_and_look(case: Case) -> Outcome:
    subject, work = case.subject, case.subject.work
    place = case.folder
    shutil.copytree(subject.folder, place)
    file = place / case.file.relative_to(subject.folder)
    content = file.read_bytes()
    draw = random.Random(case.seed)
    spoilt = SPOILS[case.how](content, draw) if content else draw.randbytes(10)
    if spoilt == content:
        return Outcome()
    before = _records(place / work.kept)
    if spoilt is None:
        file.unlink()
    else:
        file.write_bytes(spoilt)
    outcome = Outcome()
    noticed, said = _noticed(work, place)
    left = _records(place / work.kept)
    untouched = not noticed and left == before and file.suffix in _ROOM_FOR_NOTHING
    # Of its log the system leaves out what is not whole, as if the rows had never been written.
    cut = file.suffix == ".sqlite-wal" and left.items() <= before.items()
    gone = not noticed and not untouched and (spoilt is None or cut)
    outcome.counts.update(
        {
            "damaged": 1,
            "noticed": noticed,
            _ROOM_FOR_NOTHING.get(file.suffix, "in bytes that hold nothing"): untouched,
            "missing, as if never made": gone,
        }
    )
    if not (noticed or untouched or gone):
        outcome.counts["not noticed"] += 1
        outcome.failures.append(f"{case}: not noticed; {said}")
    if case.run:
        outcome.add(_run_again(case, place, noticed))
    if not outcome.failures:
        shutil.rmtree(place)
    return outcome


def _noticed(work: Work, place: Path) -> tuple[bool, str]:
    target = place / ("study.yaml" if "study.yaml" in work.files else work.kept)
    try:
        diagnosis = examine(target)
    except CotuneError as error:
        return True, str(error)
    return not diagnosis.healthy, "; ".join(diagnosis.sentences())


def _records(folder: Path) -> dict[str, object]:
    """Return all that the store says, as far as it is whole."""
    try:
        with open_store(folder / "runs.sqlite", writable=False) as store:
            return {record.key: repr(record) for record in store}
    except ValueError:
        return {}


def _run_again(case: Case, place: Path, noticed: bool) -> Outcome:
    """Run the command on it: it ends well with the same results, or with a sentence and status 2."""
    work, expected = case.subject.work, case.subject.reference
    status, said = finish(work.arguments, place)
    outcome = Outcome()
    left = work.left(place)
    # What runs shared is not made again where no run is left that wants it.
    other = [
        name
        for name, digest in expected.same.items()
        if left.get(name) != digest and (name in left or not name.startswith(f"{work.kept}/shared/"))
    ]
    internal = status not in (0, 2) or "an error of cotune" in said
    # What had shared its pass with others comes out by itself with sums taken in another order.
    rounded = bool(other) and all(
        name in expected.timeless and same_but_for_rounding(expected.timeless[name], timeless(place / name))
        for name in other
    )
    used = status == 0 and bool(other) and not rounded
    outcome.counts.update({"run again": 1, "used": used, "internal errors": internal})
    outcome.counts.update({"the same but for rounding": status == 0 and rounded})
    outcome.counts.update({"refused with a sentence": status == 2})
    if used or internal:
        outcome.failures.append(f"{case}: status {status}, other results {other}: {said[-600:]}")
    assert stored(place / work.kept) is not None
    return outcome


def run(cases: int, setup: Setup) -> Outcome:
    load()
    draw = random.Random(setup.seed)
    works = (*WORKS, WARM) if cases > 20 else (TUNE,)
    found = subjects(setup.folder / "subjects", works, len(works) == 1)

    def planned() -> Iterator[Case]:
        for number in range(DRAWN * cases):
            subject = found[number % len(found)]
            file, how = draw.choice(subject.files), draw.choice(list(SPOILS))
            again = number % _RUN_AGAIN == 0
            yield Case(subject, file, how, setup.folder / str(number), draw.getrandbits(32), again)

    return in_forks(spoil_and_look, planned(), setup.processes, ("damaged", cases))


PART = Part(
    "damage",
    "damaged files",
    1000,
    6,
    run,
    ("damaged",),
    ("not noticed", "used", "internal errors"),
)
