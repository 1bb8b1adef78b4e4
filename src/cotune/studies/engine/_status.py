"""What of a study is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cotune.studies.engine._runner import StageUsage, StoredRunner
from cotune.studies.engine._runs import RunT
from cotune.studies.engine._store import open_store
from cotune.studies.engine._study import Study


@dataclass(frozen=True)
class StageStatus:
    """Runs of a stage: wanted (None while not known), done, and of those failed."""

    title: str
    wanted: int | None
    done: int
    failed: int

    @classmethod
    def of(cls, usage: StageUsage, wanted: int) -> StageStatus:
        """Count the records of a stage."""
        failed = sum(record.error is not None for record in usage.records)
        return cls(usage.title, wanted, len(usage.records), failed)


@dataclass(frozen=True)
class Status:
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
    """

    name: str
    folder: str
    stages: tuple[StageStatus, ...]
    errors: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return all(stage.done == stage.wanted for stage in self.stages)

    def sentences(self) -> Sequence[str]:
        """Say what is known already, a line each."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "complete": self.complete}


def stored_status(study: Study[Any, RunT], wanted: Mapping[str, Sequence[RunT]]) -> Status:
    """Look up which of a study's runs are in its store; runs and writes nothing.

    Parameters
    ----------
    study : Study
        The study.
    wanted : mapping of str to sequence of runs
        All its runs by stage, in the order of the stages.

    Raises
    ------
    InputError
        If the study was never run.
    """
    study.require_folder()
    with open_store(study.store_path) as store:
        runner = StoredRunner(study, store)
        for title, runs in wanted.items():
            runner.get(title, runs)
    stages = tuple(
        StageStatus.of(usage, len(runs)) for usage, runs in zip(runner.stages, wanted.values(), strict=True)
    )
    errors = tuple(r.error for stage in runner.stages for r in stage.records if r.error)
    return Status(study.config.name, str(study.folder), stages, errors)
