"""The folder a study lives in: whose it is, and who is at work in it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotune._files import write_text
from cotune.exceptions import InputError

_IDENTITY = "study.json"
_LOCK = ".lock"


@dataclass(frozen=True)
class StudyFolder:
    """A study's folder.

    Parameters
    ----------
    path : Path
        The folder; made when it is first held.
    identity : mapping of str to str
        What makes it this study's, its ``name`` among that.
    file : Path
        The study file.
    """

    path: Path
    identity: Mapping[str, str]
    file: Path

    @property
    def store(self) -> Path:
        """The run store."""
        return self.path / "runs.sqlite"

    def check(self) -> None:
        """Check that the folder is this study's, or free to become it; writes nothing.

        Raises
        ------
        InputError
            If the folder belongs to another study, or holds files that are not a study's.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise InputError(f"The study folder {self.path} is a file; name a folder with --folder.")
        file = self.path / _IDENTITY
        if not file.is_file():
            if any(self.path.iterdir()):
                raise InputError(
                    f"The folder {self.path} holds files of something else; name another with --folder."
                )
            return
        try:
            found = json.loads(file.read_text(encoding="utf-8"))["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} does not say which study the folder belongs to.") from error
        name = self.identity["name"]
        if found != self.identity:
            other = "a study of other tasks or another model"
            if found.get("name") != name:
                other = f"the study '{found.get('name')}'"
            raise InputError(
                f"The folder {self.path} belongs to {other}, not to '{name}' of {self.file}; "
                "name another with --folder."
            )

    def require(self) -> None:
        """Check that the study was run here before.

        Raises
        ------
        InputError
            If it was not, or the folder is another study's.
        """
        self.check()
        if not self.store.is_file():
            raise InputError(f"There is no run of the study in {self.path}; start with 'cotune run'.")

    @contextmanager
    def hold(self, known: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Make the folder this study's and hold it: no second process runs the study meanwhile.

        Parameters
        ----------
        known : mapping of str to Any, optional
            What was found out of the machine, for :func:`known_of`.

        Raises
        ------
        InputError
            If the folder is another study's, or another process is at work in it.
        """
        self.check()
        with locked(self.path / _LOCK, f"Another process is running the study in {self.path}."):
            content = {"identity": dict(self.identity), "file": str(self.file.resolve()), **(known or {})}
            write_text(self.path / _IDENTITY, json.dumps(content, indent=2) + "\n")
            yield


def is_study_folder(folder: Path) -> bool:
    """Whether a folder is a study's."""
    return (folder / _IDENTITY).is_file()


def known_of(folder: Path) -> Mapping[str, Any]:
    """Return what a study's folder says of itself; nothing where it is none."""
    try:
        content = json.loads((folder / _IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def study_file_of(folder: Path) -> Path:
    """Return the study file that a study's folder belongs to.

    Raises
    ------
    InputError
        If the folder is no study's, or the file is gone.
    """
    file = folder / _IDENTITY
    if not is_study_folder(folder):
        raise InputError(f"{folder} is not a study's folder; give a study file (YAML) or a study's folder.")
    path = Path(json.loads(file.read_text(encoding="utf-8"))["file"])
    if not path.is_file():
        raise InputError(f"The study file {path} of the folder {folder} is gone; give its new place.")
    return path


@contextmanager
def locked(file: Path, refusal: str) -> Iterator[None]:
    """Hold a lock file, made if missing with its folder, while the block runs.

    Raises
    ------
    InputError
        With the words of the refusal, if another process holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(refusal) from None
        yield
