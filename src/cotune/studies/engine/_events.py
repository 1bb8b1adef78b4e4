"""Who is told how a study goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cotune._repr import Brief
from cotune.studies.engine._runs import RunRecord
from cotune.tasks import note_lines


class Events(Protocol):
    """Who is told how a study goes."""

    def stage(self, title: str, total: int, reused: int) -> None:
        """Say that a stage of ``total`` runs begins, or has grown to so many, ``reused`` of them done."""
        ...

    def finished(self, record: RunRecord) -> None:
        """Say that a run of the stage ended."""
        ...

    def note(self, text: str) -> None:
        """Say something in one sentence."""
        ...


@dataclass(frozen=True, slots=True)
class UnderWay(Brief):
    """How far a stage is between the ends of its runs.

    Parameters
    ----------
    steps : sequence of (int, int)
        Of every worker that trains, the steps done and all steps of what it trains; a run of several stages
        begins again with each.
    share : float
        The part that is done of the work that was not stored when the stage began, by the length of its runs.
    """

    steps: Sequence[tuple[int, int]]
    share: float


@runtime_checkable
class StepEvents(Protocol):
    """Who is told how far runs under way are, too."""

    def under_way(self, progress: UnderWay) -> None:
        """Say how far a stage is; about once a second."""
        ...


class Silent:
    """Tells nobody."""

    def stage(self, title: str, total: int, reused: int) -> None:
        """Do nothing."""

    def finished(self, record: RunRecord) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class Listener(Protocol):
    """Who is told sentences; ``verbose`` where it wants each task's."""

    def note(self, text: str) -> None:
        """Say something in one sentence."""
        ...


def tell_notes(listener: Listener, notes: Mapping[str, Sequence[str]]) -> None:
    """Say what was cut or dropped, in one line for all tasks alike; to the verbose in one for each."""
    for line in note_lines(notes, each=getattr(listener, "verbose", False)):
        listener.note(line)
