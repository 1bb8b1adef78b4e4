"""How a study's progress is shown: a bar on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotune.studies import Events, RunRecord

_EVERY_SECONDS = 10.0


class PlainEvents:
    """Writes a line when a stage begins and ends, and now and then between."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self._title = ""
        self._total = self._done = self._reused = 0
        self._began = self._told = time.monotonic()

    def stage(self, title: str, total: int, reused: int) -> None:
        """Begin a stage."""
        self._title, self._total, self._done, self._reused = title, total, reused, reused
        self._began = self._told = time.monotonic()
        print(
            f"{title}: {plural(total, 'run')}" + (f", {reused} of them stored" if reused else ""), flush=True
        )

    def finished(self, record: RunRecord) -> None:
        """Count a run, and tell when some time has passed."""
        self._done += 1
        now = time.monotonic()
        if record.error:
            self.note(record.error)
        if self._done == self._total or now - self._told >= _EVERY_SECONDS:
            self._told = now
            fresh = self._done - self._reused
            left = (now - self._began) / fresh * (self._total - self._done)
            # The first runs pay for starting the workers and are the longest.
            rest = f", about {duration(left)} left" if fresh >= 3 and self._done < self._total else ""
            spent = duration(now - self._began)
            print(f"{self._title}: {self._done} of {plural(self._total, 'run')} in {spent}{rest}", flush=True)

    def note(self, text: str) -> None:
        """Write the sentence."""
        print(f"  {text}", flush=True)


class BarEvents:
    """Shows a bar with the time left."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console()
        self._progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: Any = None
        self._tasks: dict[str, Any] = {}

    def stage(self, title: str, total: int, reused: int) -> None:
        """Begin a bar, or let that of the stage grow."""
        self._progress.start()
        if title not in self._tasks:
            self._tasks[title] = self._progress.add_task(title, total=total, completed=reused)
        self._task = self._tasks[title]
        self._progress.update(self._task, total=total, completed=reused)

    def finished(self, record: RunRecord) -> None:
        """Move the bar."""
        if record.error:
            self.note(record.error)
        self._progress.advance(self._task)

    def note(self, text: str) -> None:
        """Write the sentence above the bar."""
        self._console.print(f"  {text}", markup=False, highlight=False)

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()


class JsonEvents:
    """Writes every event as a JSON object on a line of its own."""

    verbose = True

    def stage(self, title: str, total: int, reused: int) -> None:
        """Write the stage."""
        emit({"event": "stage", "stage": title, "runs": total, "stored": reused})

    def finished(self, record: RunRecord) -> None:
        """Write the run."""
        emit(
            {
                "event": "run",
                "key": record.key,
                **record.identity,
                "seconds": round(record.seconds, 3),
                "error": record.error,
            }
        )

    def note(self, text: str) -> None:
        """Write the note."""
        emit({"event": "note", "text": text})


def emit(value: Any) -> None:
    """Print a JSON object on one line."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


@contextmanager
def progress(as_json: bool, *, verbose: bool = False) -> Iterator[Events]:
    """Choose how progress is shown."""
    if as_json:
        yield JsonEvents()
    elif sys.stdout.isatty():
        bar = BarEvents(verbose=verbose)
        try:
            yield bar
        finally:
            bar.stop()
    else:
        yield PlainEvents(verbose=verbose)


def plural(number: int, noun: str) -> str:
    """Text of a count: ``"1 run"``, ``"2,000 runs"``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Write a time span in the two largest units that say something."""
    seconds = max(0, round(seconds))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
