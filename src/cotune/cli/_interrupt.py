"""Ctrl-C and SIGTERM end a command as an exception does: all is tidied up, and it says what is kept."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence
from types import FrameType

_AGAIN = 0.5
"""Seconds after which an interrupt that somebody's code swallowed (a weak reference's callback while modules
are imported, a bare except) is raised again."""

_listening = False
_received: int | None = None
_kept = ""


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end."""


def listen() -> None:
    """Let Ctrl-C and SIGTERM raise :class:`Interrupted` in this process from now on."""
    global _listening
    _listening = True
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _raise)


def stop_listening() -> None:
    """Leave with what the command came to: nothing is left to interrupt."""
    global _listening
    if not _listening:
        return
    _listening = False
    # The alarm for good: Python gives it back its deadly default before the process ends.
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Once interrupted it leaves with the status it has; a second signal would replace that by its own.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if received() else signal.SIG_DFL)


def keep(what: str) -> None:
    """Say what an interrupt leaves from here on, such that the same command goes on from it."""
    global _kept
    _kept = what


def received() -> bool:
    """Whether a signal asked the command to end, even if its exception came to nothing."""
    return _received is not None


def status() -> int:
    """Return the status a command that was interrupted ends with: 130, or 143 after SIGTERM."""
    return 128 + (_received or signal.SIGINT)


def sentence(arguments: Sequence[str]) -> str:
    """Say what is kept, and how to go on."""
    by = " by SIGTERM" if _received == signal.SIGTERM else ""
    if not _kept:
        return f"Interrupted{by}; nothing was written."
    return f"Interrupted{by}; {_kept}, and '{shlex.join(['cotune', *arguments])}' goes on."


def _raise(number: int, frame: FrameType | None) -> None:
    global _received
    if not _listening:  # it came while the command was leaving
        return
    if number != signal.SIGALRM and _received is None:
        _received = number
    signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    if not _tidying():
        raise Interrupted


def _tidying() -> bool:
    """Whether an interrupt is on its way: what ends workers and files must not be cut short by another."""
    error = sys.exception()
    while error is not None:
        if isinstance(error, Interrupted):
            return True
        error = error.__context__
    return False
