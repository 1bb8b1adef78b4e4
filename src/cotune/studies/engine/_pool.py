"""Worker processes that end when they should: with their jobs, with this process, at once on an interrupt."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, TypeVar

from cotune.exceptions import InputError, RunError

_SECONDS_TO_END = 10.0
"""A worker that is stuck in the kernel longer than this after it was told to end is killed."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


class Ended(NamedTuple, Generic[JobT, ResultT]):
    """A job that is no longer under way.

    Parameters
    ----------
    job
        What was handed out.
    result
        What came out of it; None if its worker died.
    death : str
        What ended the worker in the middle of the job, in words; empty if it lives.
    """

    job: JobT
    result: ResultT | None
    death: str = ""


class WorkerPool(Generic[JobT, ResultT]):
    """Processes that are started with the first jobs and outlive single ones; one that dies is replaced.

    As a context it ends them with the block: when their jobs are done, or at once if an error or an interrupt
    ends it.

    Parameters
    ----------
    processes : int
        How many.
    threads : int
        Of numerical libraries, in each.
    do : callable
        What is done with a job, in a worker.
    start : callable, optional
        Called in every process with its place (0, 1, ...; a replacement has that of the dead) and the
        arguments before its first job, as part of that.
    arguments : tuple
        Of ``start``.
    environments : sequence of mappings, optional
        By place, variables that a process has before it loads anything.

    Attributes
    ----------
    places : int
        How many processes may be at work; ``processes`` at most.
    """

    def __init__(
        self,
        processes: int,
        threads: int,
        do: Callable[[JobT], ResultT],
        start: Callable[..., object] | None = None,
        arguments: tuple[Any, ...] = (),
        environments: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self.places, self._threads = processes, threads
        self._environments = environments or [{}] * processes
        self._begun = (do, start, arguments)
        self._waiting: deque[JobT] = deque()
        self._workers: dict[int, _WorkerProcess] = {}
        self._errors: list[Exception] = []

    def __enter__(self) -> WorkerPool[JobT, ResultT]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()

    @property
    def busy(self) -> bool:
        """Whether a job waits or is under way."""
        return bool(self._waiting or self._errors) or any(
            worker.job is not None for worker in self._workers.values()
        )

    def put(self, jobs: Iterable[JobT]) -> None:
        """Let jobs wait for a worker, behind those that wait already."""
        self._waiting.extend(jobs)

    def forget(self) -> None:
        """Let none of the jobs that wait be done."""
        self._waiting.clear()

    def take(self, seconds: float | None = None) -> list[Ended[JobT, ResultT]]:
        """Hand jobs out, and return those that end, as soon as one does or so many seconds have passed.

        Raises
        ------
        Exception
            What a job raised in its worker; those that ended with it are returned first.
        """
        if self._errors:
            raise self._errors.pop(0)
        self._hand_out()
        signs: dict[Any, _WorkerProcess] = {}
        for worker in self._workers.values():
            if worker.job is not None:
                # The connection alone is not enough: a child of a dead worker may hold it open.
                signs.update({worker.connection: worker, worker.process.sentinel: worker})
        ready = dict.fromkeys(signs[sign] for sign in wait(list(signs), seconds))
        ended = [job for job in map(self._end, ready) if job is not None]
        if self._errors and not ended:
            raise self._errors.pop(0)
        return ended

    def results(self, jobs: Iterable[JobT]) -> Iterator[tuple[JobT, ResultT]]:
        """Do jobs and yield what comes out of each as it ends.

        Raises
        ------
        RunError
            If a worker dies.
        """
        self.put(jobs)
        while self.busy:
            for job, result, death in self.take():
                if death:
                    raise RunError(f"A worker process {death}.")
                yield job, result  # type: ignore[misc]

    def close(self) -> None:
        """End the workers when their jobs are done."""
        for worker in self._workers.values():
            worker.connection.close()
        for worker in self._workers.values():
            worker.process.join()
        self._workers.clear()

    def kill(self) -> None:
        """End the workers, whatever they are doing."""
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()

    def _hand_out(self) -> None:
        for place in range(self.places):
            if not self._waiting:
                return
            worker = self._workers.get(place)
            if worker is not None and worker.job is None and not worker.process.is_alive():
                worker.end()
                worker = None
            if worker is None:
                with _environment(self._threads, self._environments[place]), uninterrupted():
                    self._workers[place] = worker = _WorkerProcess(place, *self._begun)
            if worker.job is None:
                worker.give(self._waiting.popleft())

    def _end(self, worker: _WorkerProcess) -> Ended[JobT, ResultT] | None:
        """Take what came of a worker's job; None if an error did, which is kept."""
        job, worker.job = worker.job, None
        try:
            result, error = worker.answer()
        except (EOFError, OSError):
            worker.end()
            del self._workers[worker.place]
            return Ended(job, None, _death(worker.process.exitcode))
        if error is not None:
            self._errors.append(error)
            return None
        return Ended(job, result)


class _WorkerProcess:
    """A process, the job it is at, and the connection that jobs go and results come through.

    The connection is this worker's alone: one that is killed in the middle of a word leaves no other waiting.
    """

    def __init__(
        self,
        place: int,
        do: Callable[[Any], Any],
        start: Callable[..., object] | None,
        arguments: tuple[Any, ...],
    ) -> None:
        context = get_context("spawn")
        self.connection, its_end = context.Pipe()
        self.place = place
        self.job: Any = None
        self.process = context.Process(target=_work, args=(its_end, place, do, start, arguments))
        self.process.start()
        its_end.close()  # so that the end of the process ends the connection

    def give(self, job: Any) -> None:
        """Hand out a job; that the worker is dead comes to light when its answer is read."""
        self.job = job
        with suppress(OSError):
            self.connection.send(job)

    def answer(self) -> tuple[Any, Exception | None]:
        """Read what came out of the job."""
        if not self.connection.poll():
            raise EOFError
        answer: tuple[Any, Exception | None] = self.connection.recv()
        return answer

    def end(self) -> None:
        """Wait for the end of the process, not forever, and leave nothing of it."""
        self.connection.close()
        self.process.join(_SECONDS_TO_END)
        self.process.kill()
        self.process.join()


def _death(status: int | None) -> str:
    """Say what ended a process."""
    if status is None or status >= 0:
        return f"ended by itself with status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    memory = ", as systems do when memory runs out" if -status == signal.SIGKILL else ""
    return f"was killed by {name}{memory}"


@contextmanager
def uninterrupted() -> Iterator[None]:
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
def _environment(threads: int, variables: Mapping[str, str]) -> Iterator[None]:
    """Let a child process start with few threads and further variables, which libraries read as they load."""
    wanted = dict.fromkeys(_THREAD_VARIABLES, str(threads)) | dict(variables)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
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


def _work(
    connection: Connection,
    place: int,
    do: Callable[[Any], Any],
    start: Callable[..., object] | None,
    arguments: tuple[Any, ...],
) -> None:
    """Do jobs in a process of its own until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        answer: tuple[Any, Exception | None]
        try:
            if start is not None:
                start(place, *arguments)
                start = None
            answer = (do(job), None)
        except Exception as error:
            answer = (None, sendable(error))
        connection.send(answer)


def sendable(error: Exception) -> Exception:
    """Return an error as another process can read it, with where it was raised as a note."""
    told = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a stranger's exception does
        kind = InputError if isinstance(error, InputError) else RuntimeError
        error = kind(str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}")
    error.add_note(f"In a worker process:\n{told}")
    return error
