"""Who is told how a study goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from cotune.studies.engine._runs import RunRecord


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


class Silent:
    """Tells nobody."""

    def stage(self, title: str, total: int, reused: int) -> None:
        """Do nothing."""

    def finished(self, record: RunRecord) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


def note_sentences(notes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Say what was cut or dropped of every task."""
    for task, of_task in notes.items():
        for note in of_task:
            yield f"{task}: {note}"
