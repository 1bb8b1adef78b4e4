"""What every kind of study tells of its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotune._repr import Brief

if TYPE_CHECKING:
    from cotune.tasks import SampleAnswer


@dataclass(frozen=True, kw_only=True)
class RunKind(Brief):
    """The runs of one kind.

    Parameters
    ----------
    kind : str
        Such as ``"single task"``, ``"subset"``, ``"grouped, 200 steps a task"``.
    done, reused, failed : int
        Trained now, taken from the store, given up.
    cpu_seconds, wall_seconds : float
        Time of the runs that were trained now and of those reused when they were trained; NaN where unknown.
    tokens : int or None
        Training tokens, ``None`` where the learner has none.
    """

    kind: str
    done: int
    reused: int
    failed: int
    cpu_seconds: float
    wall_seconds: float
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class AnsweredTask(Brief):
    """A task and a few of its examples as they were answered before and after a run.

    Parameters
    ----------
    task : str
        Its name.
    answers : tuple of SampleAnswer
        In the order of the split.
    """

    task: str
    answers: tuple[SampleAnswer, ...]


def total(kinds: Sequence[RunKind]) -> RunKind:
    """Add all kinds up; unknown times and tokens are left out of the sums, and unknown if all are."""
    tokens = [kind.tokens for kind in kinds if kind.tokens is not None]
    return RunKind(
        kind="all runs",
        done=sum(kind.done for kind in kinds),
        reused=sum(kind.reused for kind in kinds),
        failed=sum(kind.failed for kind in kinds),
        cpu_seconds=_sum([kind.cpu_seconds for kind in kinds]),
        wall_seconds=_sum([kind.wall_seconds for kind in kinds]),
        tokens=sum(tokens) if tokens else None,
    )


def _sum(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) if known else math.nan


@dataclass(frozen=True, kw_only=True)
class FailedRun(Brief):
    """A run that failed and the sentence it failed with."""

    kind: str
    name: str
    error: str
