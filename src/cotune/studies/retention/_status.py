from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.studies.engine._status import Status, stored_status
from cotune.studies.retention._design import AnyRun, PretrainedRun
from cotune.studies.retention._watcher import MEASURED, Notebook

if TYPE_CHECKING:
    from cotune.studies.retention._study import RetentionStudy


@dataclass(frozen=True)
class RunUnderWay:
    """A run that has begun and not ended; ``step`` is the last one measured in its last stage, if any was."""

    method: str
    learning_rate: float
    seed: int
    step: int | None
    steps: int


@dataclass(frozen=True)
class RetentionStatus(Status):
    """How far a retention study is.

    Parameters
    ----------
    under_way : tuple of RunUnderWay
        Runs that are being done, or go on when the study does.
    """

    under_way: tuple[RunUnderWay, ...] = ()

    def sentences(self) -> Sequence[str]:
        """Say of every run under way how far it is."""
        return [
            f"{run.method} at learning rate {run.learning_rate:g} with seed {run.seed}: "
            + (f"step {run.step} of {run.steps}" if run.step is not None else "before its last stage")
            for run in self.under_way
        ]


def retention_status(study: RetentionStudy) -> RetentionStatus:
    """Look up which of a retention study's runs are in its store; runs and writes nothing."""
    wanted: dict[str, list[AnyRun]] = {
        "pretrained": [PretrainedRun()],
        "tuning": list(dict.fromkeys(study.cells.values())),
    }
    stored = stored_status(study, wanted)
    return RetentionStatus(
        stored.name, stored.folder, stored.stages, stored.errors, under_way=tuple(_under_way(study))
    )


def _under_way(study: RetentionStudy) -> list[RunUnderWay]:
    found = []
    for run, cell in {run: cell for cell, run in study.cells.items()}.items():
        folder: Path = study.states / study.key(run)
        if folder.is_dir():
            pages = Notebook(folder / MEASURED).pages()
            step = pages[-1]["checkpoint"]["step"] if pages else None
            place = (cell.arm.label, run.learning_rate, run.seed)
            found.append(RunUnderWay(*place, step=step, steps=study.config.steps))
    return found
