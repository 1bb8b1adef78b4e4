"""The folder a study lives in: whose it is, and who is at work in it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotune._files import leftovers, sweep, write_text
from cotune._seals import json_text, read_json
from cotune._storage import explained, refused, writing
from cotune.exceptions import DamageError, InputError, StorageError

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
        DamageError
            If it does not say any more whose it is.
        """
        if not os.path.lexists(self.path):
            return
        if not self.path.is_dir():
            raise InputError(f"The study folder {self.path} is a file; name a folder with --folder.")
        file = self.path / _IDENTITY
        if not file.is_file():
            if self.store.is_file():
                raise DamageError(
                    f"The folder {self.path} has a run store, but no {_IDENTITY} that says whose it is; "
                    f"'cotune doctor {self.file} --folder {self.path} --fix' writes it anew."
                )
            # A process killed before it wrote its name left its lock, and perhaps half a name.
            if {path.name for path in self.path.iterdir()} - {_LOCK, *(p.name for p in leftovers(self.path))}:
                raise InputError(
                    f"The folder {self.path} holds files of something else; name another with --folder."
                )
            return
        try:
            found = read_json(file)["identity"]
        except (DamageError, KeyError) as error:
            raise DamageError(
                f"{file} is damaged and does not say which study the folder belongs to; "
                f"'cotune doctor {self.file} --folder {self.path} --fix' writes it anew."
            ) from error
        except OSError as error:
            raise explained(error, file) or error from error
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
        StorageError
            If the disk refuses it, or the folder is gone in the end.
        """
        self.check()
        with locked(self.path / _LOCK, f"Another process is running the study in {self.path}."):
            sweep(self.path)
            self.name(known)
            try:
                yield
            except OSError as error:  # of what is not written by way of :func:`cotune._storage.writing`
                told = explained(error, self.path)
                if told is None:
                    raise
                raise told from error
            finally:
                sweep(self.path)  # of workers that were killed on an interrupt
        if not (self.path / _IDENTITY).is_file():
            raise StorageError(
                f"The folder {self.path} was moved or taken away while the command ran, and what is there "
                "now is not whole; put it back, or run the command again."
            )

    def name(self, known: Mapping[str, Any] | None = None) -> None:
        """Write down whose the folder is."""
        content = {"identity": dict(self.identity), "file": str(self.file.resolve()), **(known or {})}
        write_text(self.path / _IDENTITY, json_text(content, indent=2))


def is_study_folder(folder: Path) -> bool:
    """Whether a folder is a study's."""
    return (folder / _IDENTITY).is_file()


def known_of(folder: Path) -> Mapping[str, Any]:
    """Return what a study's folder says of itself; nothing where it is none, or does not say it any more."""
    try:
        return read_json(folder / _IDENTITY)
    except (OSError, DamageError):
        return {}


def study_file_of(folder: Path) -> Path:
    """Return the study file that a study's folder belongs to.

    Raises
    ------
    InputError
        If the folder is no study's, or the file is gone.
    DamageError
        If it does not say any more.
    """
    file = folder / _IDENTITY
    if not is_study_folder(folder):
        raise InputError(f"{folder} is not a study's folder; give a study file (YAML) or a study's folder.")
    try:
        path = Path(read_json(file)["file"])
    except (DamageError, KeyError, TypeError) as error:
        raise DamageError(
            f"{file} is damaged and does not name the study file; give that instead."
        ) from error
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
    StorageError
        If the disk refuses it.
    """
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(refusal) from None
        except OSError as error:
            raise refused(file, errno.ENOLCK) or error from error
        yield
