"""What a part is, and how its cases are spread over forks of a process that has loaded everything."""

from __future__ import annotations

import os
import pickle
import select
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar


@dataclass(frozen=True)
class Setup:
    """Where and how a part is run.

    Parameters
    ----------
    folder : Path
        An empty folder of the part's own, taken away in the end.
    seed : int
        Decides all that is left to chance.
    processes : int
        How many cases go on at a time.
    """

    folder: Path
    seed: int
    processes: int


DRAWN = 10
"""So many times as many cases as asked for are drawn at most, where some come to nothing."""
BROKE_DOWN = "broke down"
"""Cases that ended in an error of the part's own, or whose process died: none may, in any part."""


@dataclass
class Outcome:
    """What a part counted, and a sentence for each case that did not end as it should."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = Counter(self.counts)

    def add(self, other: Outcome) -> None:
        """Take in what another counted; what was counted 0 times is told as well."""
        for what, number in other.counts.items():
            self.counts[what] += number
        self.failures += other.failures


class Run(Protocol):
    def __call__(self, cases: int, setup: Setup) -> Outcome: ...


@dataclass(frozen=True)
class Part:
    """A row of the table.

    Parameters
    ----------
    name : str
        To call it by.
    title : str
        What is done to cotune.
    cases, short : int
        How many cases there are as published, and in the tests.
    run : callable (cases, setup)
        Does them.
    counted : sequence of str
        The counts that make up the cases; what came to nothing is in none of them, and drawn again.
    never : sequence of str
        The counts that have to be 0.
    """

    name: str
    title: str
    cases: int
    short: int
    run: Run
    counted: Sequence[str]
    never: Sequence[str]

    def done(self, outcome: Outcome) -> int:
        """Return how many cases there were."""
        return sum(outcome.counts[name] for name in self.counted)

    def wrong(self, outcome: Outcome, cases: int) -> int:
        """Return what has to be 0: all that went wrong, and the cases that lack to the number asked for."""
        found = sum(outcome.counts[name] for name in (*self.never, BROKE_DOWN))
        return max(found, len(outcome.failures) > 0) + max(0, cases - self.done(outcome))

    def told(self, outcome: Outcome) -> str:
        """Say what was counted: cases, what came of them, and every 0 of what has to be 0."""
        never = (*self.never, BROKE_DOWN)
        names = [
            *self.counted,
            *(name for name in outcome.counts if name not in (*self.counted, *never)),
            *never,
        ]
        return ", ".join(f"{outcome.counts[name]:,} {name}" for name in names)


CaseT = TypeVar("CaseT")


def in_forks(
    do: Callable[[CaseT], Outcome],
    cases: Iterable[CaseT],
    processes: int,
    enough: tuple[str, int] | None = None,
) -> Outcome:
    """Do cases, so many at a time, each in a fork of this process.

    Parameters
    ----------
    do : callable
        Does one.
    cases : iterable
        In the order in which they are begun.
    processes : int
        How many go on at a time.
    enough : tuple of str and int, optional
        Begin no further ones when so many have been counted under that name; by default all are done.
    """
    whole, left = Outcome(), iter(cases)
    under_way: dict[int, tuple[int, CaseT]] = {}

    def wanted() -> bool:
        if len(under_way) >= processes:
            return False
        return enough is None or whole.counts[enough[0]] + len(under_way) < enough[1]

    while True:
        while wanted():
            try:
                case = next(left)
            except StopIteration:
                break
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(read)
                _tell(write, do, case)
            os.close(write)
            under_way[read] = (child, case)
        if not under_way:
            return whole
        for read in select.select(list(under_way), [], [])[0]:
            child, case = under_way.pop(read)
            with os.fdopen(read, "rb") as stream:
                told = stream.read()
            os.waitpid(child, 0)
            whole.add(pickle.loads(told) if told else _broken(case, "its process died"))


def _broken(case: object, why: str) -> Outcome:
    return Outcome(Counter({BROKE_DOWN: 1}), [f"{case}: {why}"])


def _tell(write: int, do: Callable[[Any], Outcome], case: Any) -> None:
    try:
        outcome = do(case)
    except BaseException:
        outcome = _broken(case, traceback.format_exc())
    with os.fdopen(write, "wb") as stream:
        stream.write(pickle.dumps(outcome))
    os._exit(0)
