"""SIGKILL at random instants and at successive file operations; the same command then goes on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.part import Outcome, Part, Setup, in_forks
from chaos.works import OUTPUT, WORKS, Work, begin, end, finish, kill, load, runs_done, timeless, unmeasured
from cotune.studies.engine import open_store

_OPERATIONS = {
    "open",
    "os.chmod",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
    "sqlite3.connect",
    "tempfile.mkdtemp",
    "tempfile.mkstemp",
}
"""Events that Python tells of before they happen."""


@dataclass(frozen=True)
class Reference:
    """What a work comes to when nothing happens to it.

    Parameters
    ----------
    names : set of str
        All that is left.
    same : dict of str to str
        Hashes of those files that are the same in every run; others hold times.
    seconds : float
        What it takes.
    operations : int
        How many file operations it does, those of SQLite by statements.
    own : int
        How many of them are not SQLite's.
    texts : dict of str to str
        What its JSON files say.
    timeless : dict of str to str
        What those and its tables say, but for time and memory.
    """

    names: frozenset[str]
    same: dict[str, str]
    seconds: float
    operations: int
    own: int
    texts: dict[str, str]
    timeless: dict[str, str]


@dataclass(frozen=True)
class Case:
    """A work, and when it is killed: after so many seconds, or before an operation."""

    work: Work
    reference: Reference
    folder: Path
    seconds: float = 0.0
    operation: int = 0

    def __str__(self) -> str:
        when = f"before file operation {self.operation}" if self.operation else f"after {self.seconds:.3f} s"
        return f"{self.work.name} killed {when}"


def counting(folder: Path, act: Callable[[int], object], *, sqlite: bool = True) -> None:
    """Call something before each operation on files of a folder in this process, with its number."""
    number, place = 0, str(folder)

    def next_one() -> None:
        nonlocal number
        number += 1
        act(number)

    def told(event: str, arguments: tuple[Any, ...]) -> None:
        # SQLite says in errors of its own what a disk refuses it; small disks make it say so.
        if event not in _OPERATIONS or (event == "sqlite3.connect" and not sqlite):
            return
        if event == "open" and (not isinstance(arguments[1], str) or arguments[1].strip("bt") in ("", "r")):
            return
        first = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
        if place in os.path.abspath(first) and not first.endswith(OUTPUT):
            try:
                next_one()
            except OSError as error:
                error.filename = first  # as errors of the system have it
                raise

    sys.addaudithook(told)
    if not sqlite:
        return

    from cotune.studies.engine import _store

    opened = _store._open

    def traced(*arguments: Any) -> sqlite3.Connection:
        db = opened(*arguments)
        db.set_trace_callback(lambda _: next_one())
        return db

    _store._open = traced


_found: dict[str, Reference] = {}
"""By work, for all parts that are run in this process."""


def reference(work: Work, folder: Path) -> Reference:
    """Run a work twice to its end, unless another part did."""
    if work.name not in _found:
        _found[work.name] = _reference(work, folder)
    return _found[work.name]


def _reference(work: Work, folder: Path) -> Reference:
    found = []
    seconds = 0.0
    for name in ("first", "second"):
        place = work.write(folder / work.name / name)
        begun = time.perf_counter()
        status, said = finish(work.arguments, place)
        seconds = time.perf_counter() - begun
        if status:
            raise RuntimeError(f"{work.name} ended with status {status}: {said}")
        found.append(work.left(place))
    operations, own = (_operations(work, folder / work.name, sqlite=sqlite) for sqlite in (True, False))
    first, second = found
    same = {name: digest for name, digest in first.items() if second.get(name) == digest}
    home = folder / work.name / "first"
    texts = {name: (home / name).read_text() for name in same if name.endswith(".json")}
    said = {name: text for name in same if (text := timeless(home / name)) is not None}
    return Reference(frozenset(first), same, seconds, operations, own, texts, said)


def _operations(work: Work, folder: Path, *, sqlite: bool) -> int:
    """Count the operations on files that a work does."""
    place = work.write(folder / f"counted{' with SQLite' * sqlite}")
    tally = place.with_suffix(".operations")
    descriptor = os.open(tally, os.O_WRONLY | os.O_CREAT)

    def note(number: int) -> None:
        os.pwrite(descriptor, b"%9d" % number, 0)

    end(begin(work.arguments, place, lambda: counting(place, note, sqlite=sqlite)))
    os.close(descriptor)
    return int(tally.read_text())


def kill_and_go_on(case: Case) -> Outcome:
    """Kill a command, run it again, and look what became of it."""
    work, place = case.work, case.work.write(case.folder)

    def deadly(number: int) -> None:
        if number == case.operation:
            os.kill(os.getpid(), signal.SIGKILL)

    if case.operation:
        end(begin(work.arguments, place, lambda: counting(place, deadly)))
    else:
        child = begin(work.arguments, place)
        time.sleep(case.seconds)
        kill(child)
        end(child)
    before = stored(place / work.kept)
    status, said = finish(work.arguments, place)
    outcome = Outcome(Counter({"killed": 1}))
    outcome.add(judge(case.work, case.reference, place, before, status, said, str(case)))
    if not outcome.failures:
        shutil.rmtree(place)
    return outcome


def stored(folder: Path) -> set[str]:
    """Return the keys of the runs that a study's folder holds."""
    if not (folder / "runs.sqlite").exists():
        return set()
    try:
        with open_store(folder / "runs.sqlite", writable=False) as store:
            return store.keys()
    except ValueError:  # killed before there was a table
        return set()


WRONG = ("lost", "repeated", "not resumable", "leave files", "with other results")
"""What a command must not do that goes on after another."""


def judge(
    work: Work, expected: Reference, place: Path, before: set[str], status: int, said: str, case: str
) -> Outcome:
    """Count what was lost, done twice, left lying about or came out otherwise after a command went on."""
    left = work.left(place)
    repeated = before & set(runs_done(said))
    lost = before - stored(place / work.kept)
    more = sorted(left.keys() - expected.names)
    other = sorted(name for name, digest in expected.same.items() if left.get(name) != digest)
    outcome = Outcome()
    places = (lost, repeated, said.strip().splitlines()[-1:], more, other)
    found = (lost, repeated, status, not status and more, not status and other)
    for what, wrong, shown in zip(WRONG, found, places, strict=True):
        outcome.counts[what] += bool(wrong)
        if wrong:
            outcome.failures.append(f"{case}: {what}: {shown}")
    if status == 0:
        outcome.failures += [
            f"{case}: {name}: {differs(expected.texts[name], place / name)}"
            for name in other
            if name in expected.texts
        ]
    return outcome


def differs(text: str, file: Path) -> str:
    """Say where a file of JSON says something else than a text, but for what they say of time and memory."""
    try:
        pair = [dict(leaves(json.loads(unmeasured(said)))) for said in (text, file.read_text())]
    except (OSError, ValueError):
        return "not JSON, or gone"
    places = [at for at in sorted({*pair[0], *pair[1]}) if "seconds" not in at]
    apart = [at for at in places if pair[0].get(at) != pair[1].get(at)]
    return "; ".join(f"{at} {pair[0].get(at)!r}, now {pair[1].get(at)!r}" for at in apart)[:600]


def leaves(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the plain values of JSON with where they stand."""
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from leaves(value, f"{place}/{key}")
    else:
        yield place, content


def run(cases: int, setup: Setup) -> Outcome:
    load()
    draw = random.Random(setup.seed)
    works = WORKS[: max(1, cases // 2)]
    found = {work.name: reference(work, setup.folder / "reference") for work in works}
    planned = []
    for number in range(cases):
        work = works[number % len(works)]
        expected, turn = found[work.name], number // len(works)
        folder = setup.folder / str(number)
        if turn % 2:
            planned.append(Case(work, expected, folder, seconds=draw.uniform(0.0, expected.seconds)))
        else:
            turns = -(-cases // (2 * len(works)))
            operation = 1 + int((turn // 2 + draw.random()) / turns * expected.operations)
            planned.append(Case(work, expected, folder, operation=operation))
    return in_forks(kill_and_go_on, planned, setup.processes)


PART = Part("kills", "SIGKILL, then the same command", 400, 2, run, ("killed",), WRONG)
