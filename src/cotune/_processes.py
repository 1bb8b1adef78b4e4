"""Processes that this one has begun, and that have to go when it does."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

_SECONDS = 5.0
"""By then processes that were killed are gone."""


def children() -> set[int]:
    """Return the numbers of the processes that this one has begun and that are there."""
    import psutil

    return {child.pid for child in psutil.Process().children()}


def end_children(others: Collection[int] = ()) -> None:
    """Kill the processes that this one has begun, and theirs, and wait until they are gone.

    Parameters
    ----------
    others : collection of int
        Numbers of those that stay.
    """
    import psutil

    own = [child for child in psutil.Process().children() if child.pid not in others]
    for child in own:
        with suppress(psutil.Error):
            child.suspend()  # so that it has no more children than those that are seen now
    doomed = list(own)
    for child in own:
        with suppress(psutil.Error):
            doomed += child.children(recursive=True)
    for process in doomed:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(doomed, timeout=_SECONDS)
