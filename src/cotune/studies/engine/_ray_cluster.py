"""The connection to a Ray cluster, which a command may start for itself, and what signals do meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cotune._processes import children, end_children
from cotune.exceptions import InputError
from cotune.studies.engine._pool import uninterrupted

_ANSWER_SECONDS = 10.0
"""Who has not answered by then does not."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster for the length of the block, and give Ray; a connection that is there is used.

    Raises
    ------
    InputError
        If Ray is not installed, or no cluster answers.
    """
    # Nothing is told to Ray's makers of who runs what.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(
            "executor.kind: ray needs Ray, which is not installed: pip install 'cotune[ray]'."
        ) from error
    if ray.is_initialized():
        yield ray
        return
    _check_reachable(address)
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        options["include_dashboard"] = False
    try:
        with _starting(ray) if address == "local" else _joining():
            ray.init(**options)
        yield ray
    except (ConnectionError, ImportError, ValueError, RuntimeError) as error:
        if ray.is_initialized():
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise InputError(
            f"executor.address: no Ray cluster answers at {address!r} ({reason}); start one with 'ray start "
            "--head', give its address, or write local for one of this machine."
        ) from error
    finally:
        ray.shutdown()


@contextmanager
def _joining() -> Iterator[None]:
    """Hold signals back while a cluster is joined, and keep Ray from answering them in our place.

    The answer of Ray's compiled part to a SIGTERM ends the process, and cannot be held but by a mask.
    """
    with uninterrupted():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            with _no_handlers():
                yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                if threading.current_thread() is threading.main_thread():
                    signal.signal(number, signal.getsignal(number) or signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _starting(ray: Any) -> Iterator[None]:
    """Let signals end the start of a cluster, which takes seconds, and every process it has begun by then.

    Only its last step, when the cluster is there and the compiled part connects to it, holds them back: half
    connected, that ends the process in words of its own. A mask is none: a cluster would inherit it.
    """
    before = children()
    with _answering(lambda: _is_started(ray)):
        try:
            with _no_handlers():
                yield
        except BaseException:
            ray.shutdown()
            end_children(before)
            raise


def _is_started(ray: Any) -> bool:
    """Whether all processes of this command's cluster are there, and it is being connected to."""
    # Ray has no public word for it; where it has no such name any more, signals wait for all of the start.
    return getattr(ray._private.worker, "_global_node", ray) is not None


@contextmanager
def _answering(hold: Callable[[], bool]) -> Iterator[None]:
    """Answer signals as before at once, or, while they are to be held, after the block."""
    held: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {number: signal.getsignal(number) for number in numbers}

    def answer(number: int, frame: FrameType | None) -> None:
        known = before[number]
        if hold():
            held.append(number)
        elif callable(known):
            known(number, frame)

    for number, known in before.items():
        if callable(known):
            signal.signal(number, answer)
    try:
        yield
    finally:
        for number, known in before.items():
            # Also where it is the same: the compiled part may have put its own in its place.
            signal.signal(number, known or signal.SIG_DFL)
    if held:
        signal.raise_signal(held[0])


@contextmanager
def _no_handlers() -> Iterator[None]:
    """Keep Ray from putting answers to signals in the place of ours: its own end cluster and process."""
    set_handler = signal.signal
    signal.signal = lambda number, handler: signal.getsignal(number)  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = set_handler


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing listens: Ray would try for minutes.

    Raises
    ------
    InputError
        If it is none, or nobody answers.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        if address not in ("auto", "local"):
            raise InputError(
                f"executor.address: must be auto, local, ray://host:10001 or host:6379, got {address!r}."
            )
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"executor.address: nothing answers at {address!r} ({reason}).") from error
