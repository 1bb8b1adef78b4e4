"""What every kind of study tells of its runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RunKind:
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


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run that failed and the sentence it failed with."""

    kind: str
    name: str
    error: str
