"""What of a study is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic

from cotune._repr import Brief
from cotune.studies.engine._runs import RunRecord, RunT


@dataclass(frozen=True)
class Counted(Brief):
    """A stage whose runs were counted in the store by their keys.

    Parameters
    ----------
    wanted : int
        Runs wanted up to now.
    errors : sequence of str or None
        What each of those that are done failed with; None of one that did not.
    """

    wanted: int
    errors: Sequence[str | None]


@dataclass(frozen=True)
class Standing(Brief, Generic[RunT]):
    """What a kind says of how far its study is.

    Parameters
    ----------
    stages : mapping of str to sequence of runs, Counted or None
        By stage all runs wanted up to now, in the order of the stages; None while they are not known.
    known : mapping of str to Any
        What is known already, as plain JSON types.
    sentences : sequence of str
        The same, a line each.
    lasts : bool
        Whether it stays so while the same is stored; not of what somebody else works out meanwhile.
    """

    stages: Mapping[str, Sequence[RunT] | Counted | None]
    known: Mapping[str, Any] = field(default_factory=dict)
    sentences: Sequence[str] = ()
    lasts: bool = True


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
            By stage, what is stored of the runs wanted, where they were not counted.
        """
        stages: list[StageStatus] = []
        errors: list[str] = []
        for title, wanted in standing.stages.items():
            match wanted:
                case None:
                    stages.append(StageStatus(title, None, 0, 0))
                    continue
                case Counted():
                    told, number = wanted.errors, wanted.wanted
                case _:
                    told, number = [record.error for record in found[title]], len(dict.fromkeys(wanted))
            failed = [error for error in told if error is not None]
            stages.append(StageStatus(title, number, len(told), len(failed)))
            errors += failed
        return cls(name, folder, tuple(stages), tuple(errors), standing.known, standing.sentences)

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
