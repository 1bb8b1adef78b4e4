"""What a study will cost, before anything is spent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class StagePlan:
    """Cost of a stage.

    Parameters
    ----------
    title : str
        The stage.
    runs : int
        Number of runs; an estimate where the groups are not known yet.
    steps : int
        Training steps of all runs.
    tokens : int or None
        Training tokens, None for a learner without.
    cpu_seconds : float or None
        Processor time, None if it was not measured.
    prompts : int or None
        Prompts answered in evaluations, None where they are not counted.
    """

    title: str
    runs: int
    steps: int
    tokens: int | None
    cpu_seconds: float | None
    prompts: int | None = None


@dataclass(frozen=True)
class Plan:
    """Cost of a study, nothing reused.

    Parameters
    ----------
    name : str
        The study.
    tasks : int
        Number of tasks.
    notes : tuple of str
        What was cut or dropped, and what the figures assume.
    stages : tuple of StagePlan
        The stages in their order.
    workers : int
        Processes.
    wall_seconds : float or None
        Expected duration, None if not measured.
    memory_bytes, disk_bytes : int or None
        Resident memory of all processes together, and disk for runs and what they keep, None if not measured.
    """

    name: str
    tasks: int
    notes: tuple[str, ...]
    stages: tuple[StagePlan, ...]
    workers: int
    wall_seconds: float | None
    memory_bytes: int | None
    disk_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)
