"""What a kind of study gives, and what every study has: its configuration and tasks, its folder."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from cotune._config import Config
from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.models.config import ModelConfig
from cotune.models.precision import ChosenPrecision
from cotune.studies.engine._config import StudyConfig
from cotune.studies.engine._folder import StudyFolder, known_of
from cotune.studies.engine._plan import Costs
from cotune.studies.engine._prompting import Prompting
from cotune.studies.engine._results import StudyResult
from cotune.studies.engine._runner import Runner, StageUsage
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._status import Standing
from cotune.studies.engine._store import RunStore
from cotune.studies.engine._worker import Worker
from cotune.tasks import Task, check_tasks
from cotune.training.memory_plan import MemoryPlan

_NO_SOURCE = ("include", "exclude", "max_examples", "instructions", "stops", "reader", "max_rows")
"""Options of readers that choose from a source, or are younger than studies that are to go on, and so may
change while the study stays the same."""

_OUTPUTS = (".lock", "study.json", "plan.json", "runs.sqlite*", "shared", "tracked", "report.html")
"""What studies of all kinds leave in their folders."""

ConfigT = TypeVar("ConfigT", bound=StudyConfig)


@dataclass(frozen=True)
class Kind(Brief, ABC, Generic[ConfigT, RunT]):
    """What a kind gives: its configuration, its runs, who does them, and what follows from their records.

    Parameters
    ----------
    config : StudyConfig
        What the file says, as the kind reads it.
    path : Path
        The file; relative paths in it start from its folder.
    folder : Path
        Where runs and results go.
    """

    config: ConfigT
    path: Path
    folder: Path

    config_class: ClassVar[type[StudyConfig]]
    """What the kind's file says."""
    outputs: ClassVar[tuple[str, ...]] = ()
    """Patterns of the files that a study of the kind leaves in its folder, beside those of all kinds."""

    def __post_init__(self) -> None:
        """Take over what the folder knows of the machine, on which the keys of its runs depend."""
        if isinstance(self.model, ModelConfig):
            self.model.recall_precision(ChosenPrecision.from_dict(known_of(self.folder).get("precision")))

    @property
    def precision(self) -> ChosenPrecision | None:
        """What the precision ``auto`` of the model means; None where the file says which, or has no model."""
        return self.model.chosen_precision(self.base) if isinstance(self.model, ModelConfig) else None

    @property
    def base(self) -> Path:
        """Folder that relative paths in the study start from."""
        return self.path.resolve().parent

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks as read, in the order of the study file.

        Raises
        ------
        InputError
            If a source is not usable, or two tasks have one name.
        """
        tasks = [
            task
            for reader in self.config.tasks
            for task in reader.read(base=self.base, seed=self.config.seed)
        ]
        check_tasks(tasks)
        if isinstance(self.model, ModelConfig):
            return tuple(self.model.reads(task, self.base) for task in tasks)
        return tuple(task.without_turns for task in tasks)

    @property
    def model(self) -> Config:
        """The part of the configuration that says which model the runs share; by default all of it."""
        return self.config

    @abstractmethod
    def check(self) -> dict[str, tuple[str, ...]]:
        """Check all that can be checked before compute is spent.

        Returns
        -------
        dict of str to tuple of str
            By task, one sentence for everything that was cut or dropped.

        Raises
        ------
        InputError
            If a task, the model or a number does not fit.
        """

    @property
    def prompting(self) -> Prompting:
        """How tasks are put to the model; needs the tokenizer alone.

        Raises
        ------
        InputError
            If no model of the study reads text, as by default.
        """
        raise InputError(f"{self.path}: no language model reads the tasks of this study: it has no prompts.")

    @abstractmethod
    def key(self, run: RunT) -> str:
        """Hash everything that determines a run; its key in the store."""

    def batches(self, runs: Sequence[RunT]) -> list[Sequence[RunT]]:
        """Say which runs one worker does in one pass; by default each by itself."""
        return [(run,) for run in runs]

    @abstractmethod
    def worker(self) -> Worker[RunT]:
        """Return what does the study's runs, not started yet."""

    def prepare(self) -> None:
        """Make what all runs share, in the study's folder, before the first of them; by default nothing."""

    def tidy(self, store: RunStore) -> None:
        """Take away what runs that are stored left when they were killed; by default there is nothing."""

    def stored(self, record: RunRecord) -> None:
        """Tidy up after a run whose record is in the store; by default there is nothing to tidy."""

    @abstractmethod
    def follow(self, runner: Runner[RunT], notes: Mapping[str, tuple[str, ...]]) -> StudyResult:
        """Go from stage to stage as far as the runs allow, and write what follows from their records.

        Parameters
        ----------
        runner : Runner
            Gives the records, of those runs that are done or can be.
        notes : mapping of str to tuple of str
            What :meth:`check` returned.
        """

    @abstractmethod
    def standing(self, runner: Runner[RunT]) -> Standing[RunT]:
        """Say which runs are wanted by stage, and what is known already; writes nothing.

        Parameters
        ----------
        runner : Runner
            Gives the records of those runs that are done.
        """

    def decides_status(self) -> dict[str, Any] | None:
        """Return all that decides the status beside what is stored, as plain JSON types.

        None, as by default, of a kind that tells it in a moment however many runs there are.
        """
        return None

    @abstractmethod
    def costs(self, *, measure: bool) -> Costs:
        """Count runs, steps and tokens; ``measure`` says whether a probe tells what they take."""

    def memory(self, *, passes: bool = True) -> MemoryPlan | None:
        """Count what a run takes of its device's memory; None where no model is trained, as by default.

        Parameters
        ----------
        passes : bool
            Whether what passes take is counted as well.
        """
        return None

    def unpaid(self, stages: Sequence[StageUsage]) -> Collection[str]:
        """Return the keys of runs whose training is another's, which cost nothing; by default none."""
        return ()

    def builds_upon(self, place: Path) -> Sequence[Path]:
        """Return what may rely on a file or folder of the study, and is worth nothing without it."""
        return ()

    @cached_property
    def home(self) -> StudyFolder:
        """The folder with what makes it this study's."""
        return StudyFolder(self.folder, self.identity, self.path)

    def owns(self, name: str) -> bool:
        """Whether something in the study's folder is called as what cotune writes there."""
        return any(fnmatchcase(name, pattern) for pattern in (*_OUTPUTS, *self.outputs))

    @property
    def shared(self) -> Path:
        """Folder for what all runs share, and for the state of runs in flight."""
        return self.folder / "shared"

    @cached_property
    def identity(self) -> dict[str, str]:
        """What makes a folder this study's: its name, and where tasks and model come from.

        Everything else may be edited: runs are kept under the hash of all that determines them.
        """
        config = self.config.plain()
        sources = [{k: v for k, v in reader.items() if k not in _NO_SOURCE} for reader in config["tasks"]]
        model = {"class": type(self.model).__name__, "model": getattr(self.model, "model", None)}
        content = json.dumps([sources, model], sort_keys=True, default=str)
        return {"name": self.config.name, "sources": hashlib.sha256(content.encode()).hexdigest()}
