"""The table of parts, and the command that runs them.

PYTHONPATH=benchmarks python -m chaos                       # all, as published
PYTHONPATH=benchmarks python -m chaos kills --share 0.1     # one, a tenth of its cases
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
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
    failed = False
    begun = time.perf_counter(), _cpu()
    for part in PARTS:
        if options.parts and part.name not in options.parts:
            continue
        cases = part.short if options.short else max(1, round(part.cases * options.share))
        begin, cpu = time.perf_counter(), _cpu()
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            outcome = part.run(cases, Setup(Path(folder), options.seed, options.processes))
        spent, cpu = time.perf_counter() - begin, _cpu() - cpu
        counts = ", ".join(f"{number:,} {what}" for what, number in outcome.counts.items())
        print(f"{part.title}: {counts} ({_took(spent, cpu)})", flush=True)
        for failure in outcome.failures:
            print(f"  FAILED {failure}", flush=True)
        failed |= bool(outcome.failures)
    spent, cpu = time.perf_counter() - begun[0], _cpu() - begun[1]
    print(f"all together: {'FAILED' if failed else 'nothing failed'} ({_took(spent, cpu)})", flush=True)
    sys.exit(int(failed))


def _cpu() -> float:
    return sum(os.times()[:4])


def _took(seconds: float, cpu: float) -> str:
    return f"{seconds:.0f} s, {cpu:.0f} s of processor time"
