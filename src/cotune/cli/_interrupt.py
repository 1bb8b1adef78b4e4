"""Ctrl-C and SIGTERM end a command as an exception does: all is tidied up, and it says what is kept."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from cotune._neutral import visible
from cotune._processes import end_children

_AGAIN = 0.5
"""Seconds after which an interrupt that somebody's code swallowed (a weak reference's callback while modules
are imported, a bare except) is raised again."""
_PATIENCE = 5.0
"""Seconds after which the command ends without tidying up, if nobody heard: the main thread waits in compiled
code, as that of Ray while its processes start. What is on disk then is what a killed command leaves."""

_listening = False
_watched = False
_arguments: Sequence[str] = ()
_received: int | None = None
_kept = ""


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end."""


def listen() -> None:
    """Let Ctrl-C and SIGTERM raise :class:`Interrupted` in this process from now on."""
    global _listening, _watched
    _listening = True
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _raise)
    if not _watched:
        _watched = True
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=_forget)
        threading.Thread(target=_watch, args=(read,), daemon=True, name="interrupts").start()


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


def begin(arguments: Sequence[str]) -> None:
    """Say which command goes on after an interrupt; it keeps nothing yet."""
    global _arguments, _kept
    _arguments, _kept = arguments, ""


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


def sentence() -> str:
    """Say what is kept, and how to go on."""
    by = " by SIGTERM" if _received == signal.SIGTERM else ""
    if not _kept:
        return f"Interrupted{by}; nothing was written."
    return f"Interrupted{by}; {_kept}, and '{shlex.join(['cotune', *_arguments])}' goes on."


def _raise(number: int, frame: FrameType | None) -> None:
    global _received
    if not _listening:  # it came while the command was leaving
        return
    if number != signal.SIGALRM and _received is None:
        _received = number
    signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    if not _tidying():
        raise Interrupted


def _forget() -> None:
    """Let signals of a fork be its own: its pipe is that of the command."""
    global _watched
    _watched = False
    signal.set_wakeup_fd(-1)


def _watch(read: int) -> None:
    """Learn of signals as the system brings them, and end the command if its main thread does not."""
    global _received
    number = 0
    while number not in (signal.SIGINT, signal.SIGTERM):
        number = os.read(read, 1)[0]
    time.sleep(_PATIENCE)
    if _listening and _received is None:
        _received = number
        with suppress(ModuleNotFoundError):  # of what has no models, which begins no processes
            end_children()
        os.write(2, f"{visible(sentence(), one_line=True)}\n".encode(errors="replace"))
        os._exit(status())


def _tidying() -> bool:
    """Whether an interrupt is on its way: what ends workers and files must not be cut short by another."""
    error = sys.exception()
    while error is not None:
        if isinstance(error, Interrupted):
            return True
        error = error.__context__
    return False
