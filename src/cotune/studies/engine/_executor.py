"""Where runs happen: in this process, or spread over worker processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from typing import Any, Generic, Protocol

from cotune.exceptions import RunError
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._worker import Job, Worker, WorkerSetup, start_worker

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Executor(Protocol[RunT]):
    """Does jobs and yields the records of each as it ends."""

    def run(self, jobs: Sequence[Job[RunT]]) -> Iterator[list[RunRecord]]:
        """Do jobs; records come in the order the jobs end."""
        ...


@dataclass
class InlineExecutor(Generic[RunT]):
    """Does jobs one after the other in this process; for debugging, and for runs that are quick."""

    setup: WorkerSetup[RunT]

    def __post_init__(self) -> None:
        self._worker: Worker[RunT] | None = None

    def run(self, jobs: Sequence[Job[RunT]]) -> Iterator[list[RunRecord]]:
        """Do jobs in their order."""
        if self._worker is None:
            self._worker = start_worker(self.setup)
        for job in jobs:
            yield self._worker.do(job)


class LocalExecutor(Generic[RunT]):
    """Does jobs in worker processes that load the model once each and outlive single jobs.

    Parameters
    ----------
    setup : WorkerSetup
        What the workers need.
    workers : int
        Number of processes.
    """

    def __init__(self, setup: WorkerSetup[RunT], workers: int) -> None:
        self._setup = setup
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, jobs: Sequence[Job[RunT]]) -> Iterator[list[RunRecord]]:
        """Do jobs on the workers.

        Raises
        ------
        RunError
            If a worker process died (killed for memory, say); what finished before was yielded.
        """
        if not jobs:
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers, get_context("spawn"), initializer=_start_worker, initargs=(self._setup,)
            )
        pending: set[Future[list[RunRecord]]] = {self._pool.submit(_do, job) for job in jobs}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool as error:
            self._pool = None
            raise RunError(
                "A worker process died, perhaps for want of memory; finished runs are kept, and the same "
                "command goes on (set fewer executor.workers, if it was memory)."
            ) from error
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """End the workers when their jobs are done."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def kill(self) -> None:
        """End the workers, whatever they are doing."""
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
            self._pool = None


@contextmanager
def open_executor(setup: WorkerSetup[RunT], workers: int) -> Iterator[Executor[RunT]]:
    """Make the executor for a number of workers; 0 means in this process."""
    if workers == 0:
        yield InlineExecutor(setup)
        return
    executor = LocalExecutor(setup, workers)
    with _threads(setup.threads):
        try:
            yield executor
            executor.close()
        finally:
            executor.kill()


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    """Let child processes start with few threads: libraries read these variables when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def available_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_worker: Worker[Any] | None = None
"""The worker of this process, when it is one."""


def _start_worker(setup: WorkerSetup[Any]) -> None:
    global _worker
    # Ctrl-C reaches the whole process group; the parent decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    _worker = start_worker(setup)


def _follow_parent() -> None:
    """End this process when its parent is gone: a killed parent cannot end its workers itself."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(job: Job[Any]) -> list[RunRecord]:
    assert _worker is not None
    return _worker.do(job)
