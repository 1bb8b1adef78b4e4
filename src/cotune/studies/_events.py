from __future__ import annotations

from typing import Protocol

from cotune.studies._runs import RunRecord


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
