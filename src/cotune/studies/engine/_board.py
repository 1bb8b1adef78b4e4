"""How far worker processes are, in memory that they share with the command."""

from __future__ import annotations

from multiprocessing import get_context
from typing import NamedTuple

_BITS = 21
_MOST = (1 << _BITS) - 1


class Steps(NamedTuple):
    """How far a job is.

    Parameters
    ----------
    job : int
        Its place among the jobs that were handed out.
    step, steps : int
        Steps done, and all of what is trained.
    """

    job: int
    step: int
    steps: int


class Board:
    """A place for each worker, which it alone writes: nobody waits, and one that is killed holds nothing.

    Parameters
    ----------
    places : int
        How many workers there are.
    """

    def __init__(self, places: int) -> None:
        # One number a place, which is read and written whole: the three never come from two steps.
        self._places = get_context("spawn").RawArray("q", places)
        # What a run took of a device, and what the device has; of both, the larger is what counts.
        self._memory = get_context("spawn").RawArray("q", 2 * places)
        self._place = 0

    def write_memory(self, peak: int, total: int) -> None:
        """Say what the worker's runs took of its device at most, in bytes, and what that has."""
        self._memory[2 * self._place : 2 * self._place + 2] = [peak, total]

    def memory(self) -> list[tuple[int, int]]:
        """Return what was said of devices, by worker that did."""
        pairs = zip(self._memory[::2], self._memory[1::2], strict=True)
        return [(int(peak), int(total)) for peak, total in pairs if peak and total]

    def take(self, place: int) -> None:
        """Take a place; called in the worker before it writes."""
        self._place = place

    def write(self, steps: Steps) -> None:
        """Say how far the worker is."""
        job, step, of = (min(number, _MOST) for number in steps)
        self._places[self._place] = ((job << _BITS) | step) << _BITS | of

    def clear(self) -> None:
        """Say that the worker is at nothing."""
        self._places[self._place] = 0

    def clear_of(self, job: int) -> None:
        """Say for a worker that died that nobody is at its job."""
        for place, number in enumerate(self._places):
            if int(number) >> 2 * _BITS == job:
                self._places[place] = 0

    def read(self) -> list[Steps]:
        """Return how far those workers are that are at something."""
        found = [int(number) for number in self._places]
        return [Steps(n >> 2 * _BITS, (n >> _BITS) & _MOST, n & _MOST) for n in found if n & _MOST]
