"""Where runs happen: in this process, or spread over worker processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias

from cotune._config import Config
from cotune.studies.engine._board import Board, Steps
from cotune.studies.engine._deaths import Deaths
from cotune.studies.engine._devices import Assignment, fitting
from cotune.studies.engine._memory import Room
from cotune.studies.engine._pool import WorkerPool
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._worker import Job, Worker, start_worker
from cotune.training.steps import listening

_LOOK_SECONDS = 1.0
"""How often is looked how far workers are."""


class ExecutorConfig(Config, ABC):
    """Where the runs happen; has no influence on results."""

    track: tuple[str, ...] = ()
    """Trackers of accelerate that are told of runs as they end: [tensorboard], [wandb], [mlflow] ..."""

    @abstractmethod
    def count(self) -> int:
        """Return the number of worker processes there will be now; 0 means the command's own.

        Raises
        ------
        InputError
            If that is to be asked of somebody who does not answer.
        """

    def crowded(self) -> AbstractContextManager[None]:
        """Make this machine as busy as it is while runs happen, for what is measured meanwhile."""
        return nullcontext()

    def room(self) -> Room | None:
        """Return the memory that runs have; None where that is not known here, as by default."""
        return None

    @abstractmethod
    def open(
        self, worker: Worker[RunT], deaths: Deaths | None = None
    ) -> AbstractContextManager[Executor[RunT]]:
        """Make the executor; when the block ends, so do its workers.

        Parameters
        ----------
        worker : Worker
            Not started.
        deaths : Deaths, optional
            Is told of workers that die, and says what becomes of their runs.
        """


OnJobs: TypeAlias = Callable[[Sequence[Steps]], None]
"""Called now and then with how far the jobs are that are under way."""


class Executor(Protocol[RunT]):
    """Does jobs and yields the records of each as it ends."""

    def run(self, jobs: Sequence[Job[RunT]], on_jobs: OnJobs) -> Iterator[list[RunRecord]]:
        """Do jobs; records come in the order the jobs end."""
        ...


class InlineExecutor(Generic[RunT]):
    """Does jobs one after the other in this process; for debugging, and for runs that are quick.

    Parameters
    ----------
    worker : Worker
        Does them; started with the first.
    threads : int
        Of numerical libraries.
    spread : bool
        Whether a model lies on all GPUs that there are.
    """

    def __init__(self, worker: Worker[RunT], threads: int = 1, *, spread: bool = False) -> None:
        self._worker, self._threads, self._spread = worker, threads, spread
        self._started = False

    def run(self, jobs: Sequence[Job[RunT]], on_jobs: OnJobs) -> Iterator[list[RunRecord]]:
        """Do jobs in their order."""
        if not self._started:
            start_worker(self._worker, self._threads, spread=self._spread)
            self._started = True
        for number, job in enumerate(jobs):
            with listening(partial(_told, on_jobs, number)):
                done = self._worker.do(job)
            yield done


class LocalExecutor(Generic[RunT]):
    """Does jobs in worker processes that load the model once each and outlive single jobs.

    A worker that dies is replaced; what it was doing is done again, once.

    Parameters
    ----------
    pool : WorkerPool
        The processes, a copy of the worker started in each with its first job.
    board : Board
        Where they write how far they are.
    deaths : Deaths
        Says what becomes of the runs of workers that die.
    groups : int or None
        Where as many workers share a device as their runs leave room for: the number of devices, each of
        which has one worker until it is known what a run takes.
    """

    def __init__(self, pool: _Pool, board: Board, deaths: Deaths, groups: int | None = None) -> None:
        self._pool, self._board, self._deaths = pool, board, deaths
        self._groups, self._most = groups, pool.places
        if groups is not None:
            pool.places = min(groups, pool.places)

    def run(self, jobs: Sequence[Job[RunT]], on_jobs: OnJobs) -> Iterator[list[RunRecord]]:
        """Do jobs on the workers.

        Raises
        ------
        RunError
            If workers die one after another and nothing comes of any; what finished before was yielded.
        """
        self._pool.put(enumerate(jobs))
        try:
            while self._pool.busy:
                for (number, job), records, death in self._pool.take(_LOOK_SECONDS):
                    if records is None:
                        self._board.clear_of(number)
                        again, records = self._deaths.died(job, death)
                        self._pool.put((number, one) for one in again)
                    else:
                        self._deaths.ended()
                        self._grow()
                    if records:
                        yield records
                on_jobs(self._board.read())
        finally:
            self._pool.forget()

    def _grow(self) -> None:
        """Let as many workers share a device as fit, by what runs took of it."""
        known = self._board.memory()
        if self._groups is not None and known:
            each = fitting(max(peak for peak, _ in known), min(total for _, total in known))
            self._pool.places = min(self._groups * each, self._most)


@contextmanager
def local_workers(
    worker: Worker[RunT], assignments: Sequence[Assignment], deaths: Deaths, groups: int | None = None
) -> Iterator[LocalExecutor[RunT]]:
    """Make the executor of worker processes, one an assignment, which end with the block."""
    board, threads = Board(len(assignments)), assignments[0].threads
    start = (worker, threads, len(assignments[0].devices) > 1, board)
    environments = [assignment.environment for assignment in assignments]
    with WorkerPool(len(assignments), threads, _do, _start_worker, start, environments) as pool:
        yield LocalExecutor(pool, board, deaths, groups)


_worker: Worker[Any] | None = None
"""The worker of this process, when it is one."""
_board: Board | None = None
"""Where it writes how far it is."""


def _start_worker(place: int, worker: Worker[Any], threads: int, spread: bool, board: Board) -> None:
    global _worker, _board
    board.take(place)
    start_worker(worker, threads, spread=spread)
    _worker, _board = worker, board


def _do(numbered: tuple[int, Job[Any]]) -> list[RunRecord]:
    number, job = numbered
    assert _worker is not None
    assert _board is not None
    board = _board
    try:
        with listening(lambda step, steps: board.write(Steps(number, step, steps))):
            done = _worker.do(job)
        board.write_memory(*_worker.device_memory())
        return done
    finally:
        board.clear()


_Pool: TypeAlias = WorkerPool[tuple[int, Job[Any]], list[RunRecord]]


def _told(on_jobs: OnJobs, number: int, step: int, steps: int) -> None:
    on_jobs([Steps(number, step, steps)])
