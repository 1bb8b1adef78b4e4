"""A study made ready: its configuration and tasks, the folder it lives in, and what its kind can do."""

from __future__ import annotations

import fcntl
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from cotune._config import Config
from cotune._files import write_text
from cotune.exceptions import InputError
from cotune.studies.engine._config import StudyConfig
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.tasks import Task, check_tasks

if TYPE_CHECKING:
    from cotune.studies.engine._events import Events
    from cotune.studies.engine._plan import Plan
    from cotune.studies.engine._result import StudyResult
    from cotune.studies.engine._status import Status
    from cotune.studies.engine._worker import WorkerSetup

_IDENTITY = "study.json"
_LOCK = ".lock"
_CHOOSING = ("include", "exclude", "max_examples", "instructions", "stops", "reader")
"""Options of readers that choose from a source, or are younger than studies that are to go on, and so may
change while the study stays the same."""

ConfigT = TypeVar("ConfigT", bound=StudyConfig)


@dataclass(frozen=True)
class Study(ABC, Generic[ConfigT, RunT]):
    """A study file that has been read and checked; the base of every kind of study.

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

    @staticmethod
    def load(path: Path, folder: Path | None = None) -> Study[Any, Any]:
        """Read a study file of any kind, or the study a study folder belongs to.

        Parameters
        ----------
        path : Path
            A YAML file, or the folder of a study that was run.
        folder : Path, optional
            Where runs and results go, by default beside the file under its name without the ending.

        Raises
        ------
        InputError
            If the file is not a valid study.
        """
        from cotune.studies.kinds import KINDS, load_config

        if path.is_dir():
            folder, path = folder or path, _file_of(path)
        config = load_config(path)
        return KINDS[config.kind](config, path, (folder or path.with_suffix("")).resolve())

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
        return tuple(tasks)

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

    @abstractmethod
    def run(self, events: Events, *, retry_failed: bool = False) -> StudyResult:
        """Do what the study still lacks and write its results; see :func:`run_study`."""

    @abstractmethod
    def collect(self) -> StudyResult:
        """Put together what the store holds, running nothing; see :func:`collect_study`."""

    @abstractmethod
    def plan(self, *, measure: bool = True) -> Plan:
        """Tell what the study will cost; see :func:`plan_study`."""

    @abstractmethod
    def status(self) -> Status:
        """Look up what is done; see :func:`study_status`."""

    @abstractmethod
    def key(self, run: RunT) -> str:
        """Hash everything that determines a run; its key in the store."""

    @abstractmethod
    def worker_setup(self) -> WorkerSetup[RunT]:
        """Return what a process needs to do the study's runs."""

    @property
    @abstractmethod
    def model(self) -> Config:
        """The part of the configuration that says which model the runs share."""

    def prepare(self) -> None:
        """Make what all runs share, in the study's folder, before the first of them; by default nothing."""

    def stored(self, record: RunRecord) -> None:
        """Tidy up after a run whose record is in the store; by default there is nothing to tidy."""

    def batches(self, runs: Sequence[RunT]) -> list[Sequence[RunT]]:
        """Say which runs one worker does in one pass; by default each by itself."""
        return [(run,) for run in runs]

    @property
    def shared(self) -> Path:
        """Folder for what all runs share, and for the state of runs in flight."""
        return self.folder / "shared"

    @property
    def store_path(self) -> Path:
        """The run store."""
        return self.folder / "runs.sqlite"

    @cached_property
    def identity(self) -> dict[str, str]:
        """What makes a folder this study's: its name, and where tasks and model come from.

        Everything else may be edited: runs are kept under the hash of all that determines them.
        """
        config = self.config.plain()
        sources = [{k: v for k, v in reader.items() if k not in _CHOOSING} for reader in config["tasks"]]
        model = {"class": type(self.model).__name__, "model": getattr(self.model, "model", None)}
        content = json.dumps([sources, model], sort_keys=True, default=str)
        return {"name": self.config.name, "sources": hashlib.sha256(content.encode()).hexdigest()}

    def check_folder(self) -> None:
        """Check that the folder is this study's, or free to become it; writes nothing.

        Raises
        ------
        InputError
            If the folder belongs to another study, or holds files that are not a study's.
        """
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise InputError(f"The study folder {self.folder} is a file; name a folder with --folder.")
        file = self.folder / _IDENTITY
        if not file.is_file():
            if any(self.folder.iterdir()):
                raise InputError(
                    f"The folder {self.folder} holds files of something else; name another with --folder."
                )
            return
        try:
            found = json.loads(file.read_text(encoding="utf-8"))["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} does not say which study the folder belongs to.") from error
        if found != self.identity:
            other = "a study of other tasks or another model"
            if found.get("name") != self.config.name:
                other = f"the study '{found.get('name')}'"
            raise InputError(
                f"The folder {self.folder} belongs to {other}, not to '{self.config.name}' of {self.path}; "
                "name another with --folder."
            )

    def require_folder(self) -> None:
        """Check that the study was run here before.

        Raises
        ------
        InputError
            If it was not, or the folder is another study's.
        """
        self.check_folder()
        if not self.store_path.is_file():
            raise InputError(f"There is no run of the study in {self.folder}; start with 'cotune run'.")

    @contextmanager
    def open_folder(self) -> Iterator[None]:
        """Make the folder this study's and hold it: no second process runs the study meanwhile.

        Raises
        ------
        InputError
            If the folder is another study's, or another process is at work in it.
        """
        self.check_folder()
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"Another process is running the study in {self.folder}.") from None
            content = {"identity": self.identity, "file": str(self.path.resolve())}
            write_text(self.folder / _IDENTITY, json.dumps(content, indent=2) + "\n")
            yield


def _file_of(folder: Path) -> Path:
    file = folder / _IDENTITY
    if not file.is_file():
        raise InputError(f"{folder} is not a study's folder; give a study file (YAML) or a study's folder.")
    path = Path(json.loads(file.read_text(encoding="utf-8"))["file"])
    if not path.is_file():
        raise InputError(f"The study file {path} of the folder {folder} is gone; give its new place.")
    return path
