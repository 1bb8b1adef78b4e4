"""Who is told how far the training in this process is.

Steps are done deep within runs, by whatever learner, method and estimator; who shows how far a run is knows
none of them. So it listens beside, for the steps that are done while it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

OnSteps: TypeAlias = Callable[[int, int], None]
"""Called with the steps done and all steps of what is trained: of one stage, where a method has several."""

_listener: ContextVar[OnSteps | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: OnSteps) -> Iterator[None]:
    """Let somebody be told of every step that is done within the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell_step(step: int, steps: int) -> None:
    """Tell who listens, if anybody does, that so many steps are done."""
    listener = _listener.get()
    if listener is not None:
        listener(step, steps)
