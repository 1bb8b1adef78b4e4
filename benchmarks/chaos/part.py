"""What a part is, and how its cases are spread over forks of a process that has loaded everything."""

from __future__ import annotations

import os
import pickle
import select
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
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
    """

    name: str
    title: str
    cases: int
    short: int
    run: Run


CaseT = TypeVar("CaseT")


def in_forks(do: Callable[[CaseT], Outcome], cases: Iterable[CaseT], processes: int) -> Outcome:
    """Do cases, so many at a time, each in a fork of this process."""
    whole, left = Outcome(), list(cases)[::-1]
    under_way: dict[int, tuple[int, CaseT]] = {}
    while left or under_way:
        while left and len(under_way) < processes:
            case = left.pop()
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(read)
                _tell(write, do, case)
            os.close(write)
            under_way[read] = (child, case)
        for read in select.select(list(under_way), [], [])[0]:
            child, case = under_way.pop(read)
            with os.fdopen(read, "rb") as stream:
                told = stream.read()
            os.waitpid(child, 0)
            whole.add(pickle.loads(told) if told else Outcome(failures=[f"{case}: its process died"]))
    return whole


def _tell(write: int, do: Callable[[Any], Outcome], case: Any) -> None:
    try:
        outcome = do(case)
    except BaseException:
        outcome = Outcome(failures=[f"{case}: {traceback.format_exc()}"])
    with os.fdopen(write, "wb") as stream:
        stream.write(pickle.dumps(outcome))
    os._exit(0)
