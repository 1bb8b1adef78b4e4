"""Worker processes that end when they should: with their jobs, with this process, at once on an interrupt."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from typing import Any, TypeVar

_SECONDS_TO_END = 10.0
"""A worker that is stuck in the kernel longer than this after it was told to end is killed."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


class WorkerPool:
    """Processes that are started with the first jobs and outlive single ones.

    As a context it ends them with the block: when their jobs are done, or at once if an error or an interrupt
    ends it.

    Parameters
    ----------
    processes : int
        How many.
    threads : int
        Of numerical libraries, in each.
    start : callable, optional
        Called once in every process before its first job.
    arguments : tuple
        Of ``start``.
    """

    def __init__(
        self,
        processes: int,
        threads: int,
        start: Callable[..., object] | None = None,
        arguments: tuple[Any, ...] = (),
    ) -> None:
        self._processes, self._threads = processes, threads
        self._start = (start, arguments)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()

    def submit(self, do: Callable[[JobT], ResultT], jobs: Sequence[JobT]) -> list[Future[ResultT]]:
        """Hand out jobs; the futures of their results, in order."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._processes, get_context("spawn"), initializer=_begin, initargs=self._start
            )
        with _few_threads(self._threads), _uninterrupted():
            return [self._pool.submit(do, job) for job in jobs]

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
                process.join(_SECONDS_TO_END)
                process.kill()
                process.join()
            self._pool = None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold signals back while workers are born: a half-born one would report errors of its own.

    They are born with the signals of their parent blocked, so that Ctrl-C, which reaches every process of a
    terminal, is left to the parent from their first instant.
    """
    resource_tracker.ensure_running()  # it lets signals through again when it starts
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda number, _: held.append(number)) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if held:
        signal.raise_signal(held[0])


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


def _follow_parent() -> None:
    """End this process when its parent is gone: a killed parent cannot end its workers itself."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _begin(start: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    """Begin a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    if start is not None:
        start(*arguments)
