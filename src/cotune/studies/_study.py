"""A study made ready: its configuration, tasks and learner, and the folder it lives in."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cotune._files import write_text
from cotune.exceptions import InputError
from cotune.studies.config import StudyConfig, load_config
from cotune.tasks import Task, check_tasks
from cotune.training.learner import Learner

_IDENTITY = "study.json"
_LOCK = ".lock"


@dataclass(frozen=True)
class Study:
    """A study file that has been read and checked.

    Parameters
    ----------
    config : StudyConfig
        What the file says.
    path : Path
        The file; relative paths in it start from its folder.
    folder : Path
        Where runs and results go.
    """

    config: StudyConfig
    path: Path
    folder: Path

    @classmethod
    def load(cls, path: Path, folder: Path | None = None) -> Study:
        """Read a study file, or the study a study folder belongs to.

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
        if path.is_dir():
            folder, path = folder or path, _file_of(path)
        config = load_config(path)
        return cls(config, path, (folder or path.with_suffix("")).resolve())

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

    @cached_property
    def learner(self) -> Learner:
        """The learner; it loads no model before it is used."""
        return self.config.learner.build(self.tasks, self.base)

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
        n = len(self.learner.tasks)
        if n < 2:
            raise InputError(f"{self.path}: a study groups at least two tasks, got {n}.")
        k = self.config.grouping.n_clusters
        for key, value in (("n_clusters", k), ("k_max", self.config.grouping.k_max)):
            if isinstance(value, int) and value > n:
                raise InputError(
                    f"{self.path}: grouping.{key}: must be at most the number of tasks {n}, got {value}."
                )
        self.config.affinity.runs(self.learner, self.config.seed)
        read = {task.name: task.notes for task in self.tasks}
        return {name: read.get(name, ()) + notes for name, notes in self.learner.check().items()}

    @cached_property
    def identity(self) -> dict[str, str]:
        """What makes a folder this study's: its name, and where tasks and model come from.

        Everything else may be edited: runs are kept under the hash of all that determines them.
        """
        config = self.config.plain()
        sources = [
            {k: v for k, v in reader.items() if k not in ("include", "exclude", "max_examples")}
            for reader in config["tasks"]
        ]
        model = {"class": type(self.config.learner).__name__, "model": config["learner"].get("model")}
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
        if not (self.folder / "runs.sqlite").is_file():
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
