"""What the section on runs shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cotune.report._data import RunKind
from cotune.report._layout import DASH, duration


@dataclass(frozen=True, slots=True)
class RunRow:
    """One kind of run as text."""

    kind: str
    done: str
    reused: str
    failed: str
    cpu: str
    wall: str
    tokens: str


def run_rows(kinds: Sequence[RunKind]) -> list[RunRow]:
    """Every kind in the order given."""
    return [_row(kind) for kind in kinds]


def run_total(kinds: Sequence[RunKind]) -> RunRow:
    """All kinds together; unknown times and tokens are left out of the sums, and unknown if all are."""
    return _row(
        RunKind(
            kind="all runs",
            done=sum(k.done for k in kinds),
            reused=sum(k.reused for k in kinds),
            failed=sum(k.failed for k in kinds),
            cpu_seconds=_sum([k.cpu_seconds for k in kinds]),
            wall_seconds=_sum([k.wall_seconds for k in kinds]),
            tokens=sum(k.tokens for k in kinds if k.tokens is not None)
            if any(k.tokens is not None for k in kinds)
            else None,
        )
    )


def _row(kind: RunKind) -> RunRow:
    return RunRow(
        kind=kind.kind,
        done=f"{kind.done:,}",
        reused=f"{kind.reused:,}",
        failed=f"{kind.failed:,}",
        cpu=duration(kind.cpu_seconds),
        wall=duration(kind.wall_seconds),
        tokens=DASH if kind.tokens is None else f"{kind.tokens:,}",
    )


def _sum(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) if known else math.nan
