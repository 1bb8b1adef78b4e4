"""What a study will cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cotune._repr import Brief
from cotune.tasks import note_lines


@dataclass(frozen=True)
class StagePlan(Brief):
    """Cost of a stage: of those of its runs that are still to be done.

    Parameters
    ----------
    title : str
        The stage.
    runs : int
        Number of runs; an estimate where the groups are not known yet.
    steps : int
        Training steps of the runs that are left.
    tokens : int or None
        Their training tokens, None for a learner without.
    cpu_seconds : float or None
        Their processor time, None if it was not measured.
    prompts : int or None
        Prompts answered in their evaluations, None where they are not counted.
    stored : int
        How many of the runs are done already and cost nothing.
    """

    title: str
    runs: int
    steps: int
    tokens: int | None
    cpu_seconds: float | None
    prompts: int | None = None
    stored: int = 0


@dataclass(frozen=True, kw_only=True)
class Usage(Brief):
    """What a probe says a study will use.

    Parameters
    ----------
    process_bytes : int
        Resident memory of a process.
    kept_bytes : int
        Disk for runs and what they keep.
    in_flight_bytes : int
        Disk for the state of a run in flight.
    processes_beside : int
        Processes beside the workers that take as much memory as one.
    alone_seconds : float
        Processor time that no second worker shortens.
    """

    process_bytes: int
    kept_bytes: int
    in_flight_bytes: int = 0
    processes_beside: int = 0
    alone_seconds: float = 0.0


@dataclass(frozen=True)
class Costs(Brief):
    """What a kind says its study will cost, whatever the number of workers.

    Parameters
    ----------
    tasks : int
        Number of tasks.
    stages : tuple of StagePlan
        The stages in their order.
    usage : Usage or None
        What was measured, None if nothing was.
    notes : tuple of str
        What the figures assume.
    """

    tasks: int
    stages: tuple[StagePlan, ...]
    usage: Usage | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan(Brief):
    """What a study still costs.

    Parameters
    ----------
    name : str
        The study.
    tasks : int
        Number of tasks.
    task_notes : mapping of str to tuple of str
        What was cut or dropped, by task.
    notes : tuple of str
        What the figures assume.
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
    task_notes: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    stages: tuple[StagePlan, ...]
    workers: int
    wall_seconds: float | None
    memory_bytes: int | None
    disk_bytes: int | None

    @classmethod
    def of(cls, name: str, task_notes: Mapping[str, tuple[str, ...]], costs: Costs, processes: int) -> Plan:
        """Tell what costs come to on a number of worker processes; 0 means the command's own."""
        workers, usage = max(1, processes), costs.usage
        wall = memory = disk = None
        if usage is not None:
            seconds = sum(stage.cpu_seconds or 0.0 for stage in costs.stages)
            wall = usage.alone_seconds + (seconds - usage.alone_seconds) / workers
            memory = usage.process_bytes * (workers + usage.processes_beside)
            disk = usage.kept_bytes + usage.in_flight_bytes * workers
        return cls(name, costs.tasks, task_notes, costs.notes, costs.stages, workers, wall, memory, disk)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, with all notes in one list."""
        plain = asdict(self)
        plain["notes"] = [*note_lines(plain.pop("task_notes"), each=True), *self.notes]
        return plain
