"""Where runs happen: in this process, or spread over worker processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Any, Generic, Literal, Protocol

from pydantic import NonNegativeInt, PositiveInt

from cotune._config import Config
from cotune.exceptions import RunError
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._worker import Job, Worker, start_worker

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ExecutorConfig(Config):
    """Where the runs happen; has no influence on results."""

    workers: NonNegativeInt | Literal["auto"] = "auto"
    """Processes on this machine, by default one a core; 0 runs everything in the command's own process."""
    threads: PositiveInt = 1
    """Threads of each."""

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
        executor = LocalExecutor(worker, self.processes, self.threads)
        with _few_threads(self.threads):
            try:
                yield executor
                executor.close()
            finally:
                executor.kill()


class Executor(Protocol[RunT]):
    """Does jobs and yields the records of each as it ends."""

    def run(self, jobs: Sequence[Job[RunT]]) -> Iterator[list[RunRecord]]:
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

    def run(self, jobs: Sequence[Job[RunT]]) -> Iterator[list[RunRecord]]:
        """Do jobs in their order."""
        if not self._started:
            start_worker(self._worker, self._threads)
            self._started = True
        for job in jobs:
            yield self._worker.do(job)


class LocalExecutor(Generic[RunT]):
    """Does jobs in worker processes that load the model once each and outlive single jobs.

    Parameters
    ----------
    worker : Worker
        A copy of it is started in every process.
    processes : int
        How many.
    threads : int
        Of numerical libraries, in each.
    """

    def __init__(self, worker: Worker[RunT], processes: int, threads: int = 1) -> None:
        self._worker, self._processes, self._threads = worker, processes, threads
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
                self._processes,
                get_context("spawn"),
                initializer=_start_worker,
                initargs=(self._worker, self._threads),
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
def _few_threads(threads: int) -> Iterator[None]:
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


def _start_worker(worker: Worker[Any], threads: int) -> None:
    global _worker
    # Ctrl-C reaches the whole process group; the parent decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    start_worker(worker, threads)
    _worker = worker


def _follow_parent() -> None:
    """End this process when its parent is gone: a killed parent cannot end its workers itself."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(job: Job[Any]) -> list[RunRecord]:
    assert _worker is not None
    return _worker.do(job)
