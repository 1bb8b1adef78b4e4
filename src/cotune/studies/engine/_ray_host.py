"""What runs in a process of a Ray cluster: a worker, and copies of the files that it reads."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any, NamedTuple

import ray

from cotune import __version__
from cotune._places import carry, under
from cotune.exceptions import InputError
from cotune.studies.engine._board import Steps
from cotune.studies.engine._carrying import Mirror, Pieces, Stamps
from cotune.studies.engine._pool import sendable
from cotune.studies.engine._runs import RunRecord
from cotune.studies.engine._worker import Job, Worker, start_worker
from cotune.training.steps import listening

_PREFIX = "cotune-ray-"


class Parcel(NamedTuple):
    """Files for a job, or for the start.

    Parameters
    ----------
    places : tuple of Path
        Folders, by their paths on the command's machine, that are to hold these files and no others.
    has : dict of Path to str
        What is there already, and what it holds.
    pieces : dict of Path to (str, list of references)
        What is not.
    """

    places: tuple[Path, ...]
    has: Stamps
    pieces: Pieces


class Home(NamedTuple):
    """What a worker elsewhere has to know of the command.

    Parameters
    ----------
    version : str
        Of cotune.
    home : Path
        What ``~`` is there.
    threads : int
        Of numerical libraries, for each worker.
    spread : bool
        Whether a model lies on all GPUs that a worker sees.
    """

    version: str
    home: Path
    threads: int
    spread: bool


class Answer(NamedTuple):
    """What became of a call.

    Parameters
    ----------
    records : list of RunRecord
        Of a job.
    files : dict of Path to (str, list of references)
        What it left, by paths on the command's machine.
    error : Exception or None
        What it raised.
    """

    records: list[RunRecord]
    files: Pieces
    error: Exception | None = None


class Host:
    """An actor that holds a worker; everything comes to it, and leaves it, as bytes."""

    def __init__(self) -> None:
        root, self._lock = _own_folder()
        self._mirror = Mirror(root)
        self._worker: Worker[Any] | None = None
        self._steps: Steps | None = None

    def lacks(self, sources: Stamps) -> list[Path]:
        """Take the files that are on this machine already, at the same path; return the others."""
        return self._mirror.link_same(sources)

    def start(self, worker: Worker[Any], home: Home, parcel: Parcel) -> Answer:
        """Start the worker; its answer holds what that left for others."""
        try:
            if __version__ != home.version:
                raise InputError(
                    f"A node of the Ray cluster has cotune {__version__} and the command "
                    f"{home.version}; install the same everywhere."
                )
            carry(self._mirror.root, home.home)
            self._fill(parcel)
            self._worker = _moved(worker, self._mirror.root)
            start_worker(self._worker, home.threads, spread=home.spread)
            return Answer([], self._left(parcel))
        except Exception as error:
            return Answer([], {}, sendable(error))  # its words name copies, which a reader can find

    def do(self, number: int, job: Job[Any], parcel: Parcel) -> Answer:
        """Do a job."""
        assert self._worker is not None
        worker = self._worker
        folder = None if job.save_to is None else under(self._mirror.root, job.save_to)
        # What others go on from is among the places, and stays.
        kept = () if job.save_to is None or job.save_to in parcel.places else (job.save_to,)
        try:
            self._fill(parcel)
            with listening(lambda step, steps: self._tell(Steps(number, step, steps))):
                records = worker.do(replace(job, save_to=folder))
            return Answer(records, self._left(parcel, kept))
        except Exception as error:
            return Answer([], {}, sendable(error))
        finally:
            self._steps = None
            for place in (*worker.scratch(), *(under(self._mirror.root, path) for path in kept)):
                shutil.rmtree(place, ignore_errors=True)

    def steps(self) -> Steps | None:
        """Say how far the job is."""
        return self._steps

    def close(self) -> None:
        """Take the copies away."""
        shutil.rmtree(self._mirror.root, ignore_errors=True)

    def _tell(self, steps: Steps) -> None:
        self._steps = steps

    def _fill(self, parcel: Parcel) -> None:
        self._mirror.fill(parcel.places, parcel.pieces, parcel.has, ray.get)

    def _left(self, parcel: Parcel, kept: Iterable[Path] = ()) -> Pieces:
        before = {**parcel.has, **{file: stamp for file, (stamp, _) in parcel.pieces.items()}}
        return self._mirror.changed((*parcel.places, *kept), before, ray.put)


def home(threads: int, *, spread: bool) -> Home:
    """Return what workers elsewhere have to know of this command."""
    return Home(__version__, Path.home(), threads, spread)


def _moved(worker: Worker[Any], root: Path) -> Worker[Any]:
    """Return a worker whose folders are copies under a root."""
    fresh = copy.copy(worker)
    for name, value in vars(worker).items():
        if isinstance(value, Path):
            place = under(root, value)
            place.mkdir(parents=True, exist_ok=True)
            setattr(fresh, name, place)
    return fresh


def _own_folder() -> tuple[Path, int]:
    """Make a folder of this process's own, and take away those of processes that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock = _try_lock(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = _try_lock(folder)
    assert lock is not None
    return folder, lock


def _try_lock(folder: Path) -> int | None:
    """Lock a folder of one's own; None where somebody holds it, or it is somebody else's."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        if os.fstat(handle).st_uid == os.getuid():
            flock(handle, LOCK_EX | LOCK_NB)
            return handle
    except OSError:
        pass
    os.close(handle)
    return None
