"""What of a study is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic

from cotune._repr import Brief
from cotune.studies.engine._runs import RunRecord, RunT


@dataclass(frozen=True)
class Standing(Brief, Generic[RunT]):
    """What a kind says of how far its study is.

    Parameters
    ----------
    stages : mapping of str to sequence of runs, or None
        By stage all runs wanted up to now, in the order of the stages; None while they are not known.
    known : mapping of str to Any
        What is known already, as plain JSON types.
    sentences : sequence of str
        The same, a line each.
    """

    stages: Mapping[str, Sequence[RunT] | None]
    known: Mapping[str, Any] = field(default_factory=dict)
    sentences: Sequence[str] = ()


@dataclass(frozen=True)
class StageStatus:
    """Runs of a stage: wanted (None while not known), done, and of those failed."""

    title: str
    wanted: int | None
    done: int
    failed: int


@dataclass(frozen=True)
class Status(Brief):
    """How far a study is.

    Parameters
    ----------
    name : str
        The study.
    folder : str
        Its folder.
    stages : tuple of StageStatus
        The stages in their order.
    errors : tuple of str
        One sentence for each failed run.
    known : mapping of str to Any
        What is known already, as plain JSON types.
    lines : sequence of str
        The same, a line each.
    """

    name: str
    folder: str
    stages: tuple[StageStatus, ...]
    errors: tuple[str, ...]
    known: Mapping[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        name: str,
        folder: str,
        standing: Standing[RunT],
        found: Mapping[str, Sequence[RunRecord]],
    ) -> Status:
        """Count records.

        Parameters
        ----------
        name, folder : str
            The study, and its folder.
        standing : Standing
            What the kind says.
        found : mapping of str to sequence of RunRecord
            By stage, what is stored of the runs wanted.
        """
        stages = tuple(
            StageStatus(
                title,
                None if wanted is None else len(dict.fromkeys(wanted)),
                len(found.get(title, ())),
                sum(record.error is not None for record in found.get(title, ())),
            )
            for title, wanted in standing.stages.items()
        )
        errors = tuple(r.error for records in found.values() for r in records if r.error is not None)
        return cls(name, folder, stages, errors, standing.known, standing.sentences)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return all(stage.done == stage.wanted for stage in self.stages)

    def sentences(self) -> Sequence[str]:
        """Say what is known already, a line each."""
        return self.lines

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        counted = {"name": self.name, "folder": self.folder, "stages": [asdict(s) for s in self.stages]}
        return {**counted, "errors": list(self.errors), **self.known, "complete": self.complete}
