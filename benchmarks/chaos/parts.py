"""The table of parts, and the command that runs them.

PYTHONPATH=benchmarks python -m chaos                       # all, as published
PYTHONPATH=benchmarks python -m chaos kills --share 0.1     # one, a tenth of its cases

What each part came to is told when it is done; in the end there is a table of Markdown with all of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos import damage, determinism, disk, fuzz, interrupts, kills, names, workers
from chaos.part import Part, Setup

PARTS: tuple[Part, ...] = (
    kills.PART,
    workers.PART,
    interrupts.PART,
    damage.PART,
    disk.PART,
    fuzz.PART,
    names.PART,
    determinism.PART,
)
"""In the order they are run."""


def main(argv: Sequence[str] | None = None) -> None:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}; by default all")
    parser.add_argument("--share", type=float, default=1.0, help="this share of the cases of each part")
    parser.add_argument("--short", action="store_true", help="the few cases that the tests run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(argv)
    unknown = set(options.parts) - set(names)
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    wanted = [part for part in PARTS if not options.parts or part.name in options.parts]
    rows = []
    begun = time.perf_counter(), _cpu()
    for part in wanted:
        cases = part.short if options.short else max(1, round(part.cases * options.share))
        rows.append(_done(part, cases, options.seed, options.processes))
    spent, cpu = time.perf_counter() - begun[0], _cpu() - begun[1]
    wrong = sum(row.wrong for row in rows)
    print(f"all together: {'FAILED' if wrong else 'nothing failed'} ({_took(spent, cpu)})", flush=True)
    rows.append(Row("**all together**", sum(row.cases for row in rows), "", wrong, spent))
    print(_HEAD, *rows, sep="\n")
    print(f"\nWhat must be 0 is {wrong:,}.", flush=True)
    sys.exit(int(wrong > 0))


_HEAD = """
| part | cases | what came out | must be 0 | seconds |
|---|---|---|---|---|"""


@dataclass(frozen=True)
class Row:
    """A row of the table in the end."""

    title: str
    cases: int
    told: str
    wrong: int
    seconds: float

    def __str__(self) -> str:
        return f"| {self.title} | {self.cases:,} | {self.told} | **{self.wrong:,}** | {self.seconds:,.0f} |"


def _done(part: Part, cases: int, seed: int, processes: int) -> Row:
    """Do a part and tell what it came to."""
    begin, cpu = time.perf_counter(), _cpu()
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=_memory()) as folder:
        outcome = part.run(cases, Setup(Path(folder), seed, processes))
    spent, cpu = time.perf_counter() - begin, _cpu() - cpu
    told, wrong = part.told(outcome), part.wrong(outcome, cases)
    print(f"{part.title}: {told} ({_took(spent, cpu)})", flush=True)
    for failure in outcome.failures:
        print(f"  FAILED {failure}", flush=True)
    return Row(part.title, part.done(outcome), told, wrong, spent)


def _memory() -> str | None:
    """Return the folder that a system keeps in memory, where it has one and no other was asked for.

    A disk would be waited for at each file, and what is killed is a process: the system goes on, and with it
    all that the process wrote, on a disk or not.
    """
    place = Path("/dev/shm")
    roomy = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > _ROOM
    return str(place) if roomy and "TMPDIR" not in os.environ else None


_ROOM = 4 << 30


def _cpu() -> float:
    return sum(os.times()[:4])


def _took(seconds: float, cpu: float) -> str:
    return f"{seconds:.0f} s, {cpu:.0f} s of processor time"
