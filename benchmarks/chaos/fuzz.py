"""Files as nobody should write them: none ends in an error of ours, takes five seconds or a gibibyte.

Valid samples are changed by a seed and go through the functions that the commands call. Each case has to end
well or in a sentence of one line (``InputError``, ``RunError``).
"""

from __future__ import annotations

import contextlib
import io
import random
import resource
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from chaos.part import Outcome, Part, Setup, in_forks
from chaos.strangers import KINDS, adapter_base
from chaos.works import load
from cotune.exceptions import CotuneError

SECONDS, BYTES = 5, 1 << 30
_AT_ONCE = 250
"""Cases of one process."""


class TooLongError(Exception):
    """A case went beyond its seconds of processor time."""


def fuzz(cases: int, setup: Setup) -> Outcome:
    """Run so many cases, in forks of some hundred each; each is decided by its own number."""
    adapter_base()  # once, before forks and limits
    load()
    firsts = range(0, cases, _AT_ONCE)
    batches = [
        (setup.folder / str(first), setup.seed * 1_000_000 + first, min(_AT_ONCE, cases - first))
        for first in firsts
    ]
    found = in_forks(_batch, batches, setup.processes)
    found.counts["changed"] = sum(found.counts[kind] for kind in KINDS)
    return found


def _batch(batch: tuple[Path, int, int]) -> Outcome:
    folder, first, cases = batch
    folder.mkdir()
    outcome = Outcome()
    signal.signal(signal.SIGVTALRM, _too_long)
    with _within_memory(), _quiet():
        for number in range(first, first + cases):
            one(outcome, number, folder)
    return outcome


def one(outcome: Outcome, number: int, folder: Path) -> None:
    """Run the case of a number in a folder, and count what came of it."""
    draw = random.Random(f"fuzz {number}")
    kind = draw.choices(list(KINDS), [share for _, share in KINDS.values()])[0]
    place = folder / "case"
    place.mkdir()
    try:
        run = KINDS[kind][0](draw, place)
        what, fault = _ended(run)
    finally:
        shutil.rmtree(place)
    outcome.counts[kind] += 1
    outcome.counts[what] += 1
    if fault:
        outcome.failures.append(f"{kind} {number}: {what}: {fault}")


def _ended(run: Callable[[], object]) -> tuple[str, str]:
    """Return how a case ended, and what is wrong with that."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        run()
    except CotuneError as error:
        if "\n" in str(error) or not str(error):
            return "sentences of several lines", repr(str(error)[:200])
        return "ended in a sentence", ""
    except TooLongError as error:
        return f"beyond {SECONDS} s", _where(error)
    except MemoryError as error:
        return "beyond 1 GiB", _where(error)
    except Exception as error:
        return "internal errors", f"{type(error).__name__}: {str(error)[:120]!r} {_where(error)}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return "ended well", ""


def _where(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "cotune" in f.filename]
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames[:-4:-1])


def _too_long(*_: object) -> None:
    raise TooLongError


@contextlib.contextmanager
def _within_memory() -> Iterator[None]:
    """Let the process grow by a gibibyte and no more, where the system can count it."""
    before, status = resource.getrlimit(resource.RLIMIT_AS), Path("/proc/self/statm")
    if status.is_file():
        now = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


PART = Part(
    "fuzz",
    "changed study files, task files, tables and adapters",
    20_000,
    300,
    fuzz,
    ("changed",),
    ("internal errors", f"beyond {SECONDS} s", "beyond 1 GiB", "sentences of several lines"),
)
