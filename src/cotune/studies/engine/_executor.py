"""Where runs happen: in this process, or spread over worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, Literal, Protocol, TypeAlias

from pydantic import NonNegativeInt, PositiveInt

from cotune._config import Config
from cotune.exceptions import RunError
from cotune.studies.engine._board import Board, Steps
from cotune.studies.engine._pool import WorkerPool
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._worker import Job, Worker, start_worker
from cotune.training.steps import listening

_LOOK_SECONDS = 1.0
"""How often is looked how far workers are."""


class ExecutorConfig(Config):
    """Where the runs happen; has no influence on results."""

    workers: NonNegativeInt | Literal["auto"] = "auto"
    """Processes on this machine, by default one a core; 0 runs everything in the command's own process."""
    threads: PositiveInt = 1
    """Threads of each."""
    track: tuple[str, ...] = ()
    """Trackers of accelerate that are told of runs as they end: [tensorboard], [wandb], [mlflow] ..."""

    @property
    def processes(self) -> int:
        """Number of worker processes; 0 means the command's own."""
        return available_cores() if self.workers == "auto" else self.workers

    @contextmanager
    def open(self, worker: Worker[RunT]) -> Iterator[Executor[RunT]]:
        """Make the executor; when the block ends, so do its workers."""
        if self.processes == 0:
            yield InlineExecutor(worker, self.threads)
            return
        board = Board(self.processes)
        with WorkerPool(self.processes, self.threads, _start_worker, (worker, self.threads, board)) as pool:
            yield LocalExecutor(pool, board)


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
    """

    def __init__(self, worker: Worker[RunT], threads: int = 1) -> None:
        self._worker, self._threads = worker, threads
        self._started = False

    def run(self, jobs: Sequence[Job[RunT]], on_jobs: OnJobs) -> Iterator[list[RunRecord]]:
        """Do jobs in their order."""
        if not self._started:
            start_worker(self._worker, self._threads)
            self._started = True
        for number, job in enumerate(jobs):
            with listening(partial(_told, on_jobs, number)):
                done = self._worker.do(job)
            yield done


class LocalExecutor(Generic[RunT]):
    """Does jobs in worker processes that load the model once each and outlive single jobs.

    Parameters
    ----------
    pool : WorkerPool
        The processes, a copy of the worker started in each.
    board : Board
        Where they write how far they are.
    """

    def __init__(self, pool: WorkerPool, board: Board) -> None:
        self._pool, self._board = pool, board

    def run(self, jobs: Sequence[Job[RunT]], on_jobs: OnJobs) -> Iterator[list[RunRecord]]:
        """Do jobs on the workers.

        Raises
        ------
        RunError
            If a worker process died (killed for memory, say); what finished before was yielded.
        """
        if not jobs:
            return
        pending: set[Future[list[RunRecord]]] = set()
        try:
            pending = set(self._pool.submit(_do, list(enumerate(jobs))))
            while pending:
                finished, pending = wait(pending, _LOOK_SECONDS, FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
                on_jobs(self._board.read())
        except BrokenProcessPool as error:
            self._pool.kill()
            raise RunError(
                "A worker process died, perhaps for want of memory; finished runs are kept, and the same "
                "command goes on (set fewer executor.workers, if it was memory)."
            ) from error
        finally:
            for future in pending:
                future.cancel()


def available_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_worker: Worker[Any] | None = None
"""The worker of this process, when it is one."""
_board: Board | None = None
"""Where it writes how far it is."""


def _start_worker(worker: Worker[Any], threads: int, board: Board) -> None:
    global _worker, _board
    board.take()
    start_worker(worker, threads)
    _worker, _board = worker, board


def _do(numbered: tuple[int, Job[Any]]) -> list[RunRecord]:
    number, job = numbered
    assert _worker is not None
    assert _board is not None
    board = _board
    try:
        with listening(lambda step, steps: board.write(Steps(number, step, steps))):
            return _worker.do(job)
    finally:
        board.clear()


def _told(on_jobs: OnJobs, number: int, step: int, steps: int) -> None:
    on_jobs([Steps(number, step, steps)])
