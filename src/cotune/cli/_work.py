"""How long work in one process is shown: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from cotune._neutral import visible
from cotune.cli._progress import duration, emit

_EVERY_SECONDS = 10.0


class Work(Protocol):
    """Shows how far pieces of work are, and what is said meanwhile; results go elsewhere."""

    def advance(self, title: str, done: int, total: int, detail: str = "") -> None:
        """Show how far a piece of work is."""
        ...

    def checkpoint(self, stage: str, step: int, score: float) -> None:
        """Show a checkpoint's validation score."""
        ...

    def note(self, text: str) -> None:
        """Show a sentence."""
        ...


class PlainWork:
    """Writes lines to the error stream: the end of every piece, and now and then between."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self._title = ""
        self._first = 0
        self._began = self._told = 0.0

    def advance(self, title: str, done: int, total: int, detail: str = "") -> None:
        """Write a line if the piece is done or some time has passed."""
        now = time.monotonic()
        if title != self._title:
            self._title, self._first, self._began, self._told = title, done, now, now
        if done < total and now - self._told < _EVERY_SECONDS:
            return
        self._told = now
        fresh = done - self._first
        left = f"about {duration((now - self._began) / fresh * (total - done))} left" if fresh else ""
        parts = (f"{done} of {total}", detail, left if done < total else "")
        self.note(f"{title}: {', '.join(part for part in parts if part)}")

    def checkpoint(self, stage: str, step: int, score: float) -> None:
        """Write the score."""
        self.note(f"{stage}, step {step}: validation {score:.3f}")

    def note(self, text: str) -> None:
        """Write the sentence."""
        print(text, file=sys.stderr, flush=True)


class BarWork:
    """Shows a bar with the time left for every piece."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<18}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self._console,
        )
        self._tasks: dict[str, Any] = {}

    def advance(self, title: str, done: int, total: int, detail: str = "") -> None:
        """Move the piece's bar, beginning it where it begins."""
        if title not in self._tasks:
            self._progress.start()
            # What an earlier process did says nothing about the speed of this one.
            self._tasks[title] = self._progress.add_task(
                visible(title), total=total, completed=done, detail=visible(detail)
            )
        self._progress.update(self._tasks[title], completed=done, detail=visible(detail))

    def checkpoint(self, stage: str, step: int, score: float) -> None:
        """Write the score above the bars."""
        self.note(f"{stage}, step {step}: validation {score:.3f}")

    def note(self, text: str) -> None:
        """Write the sentence above the bars."""
        self._console.print(visible(text), markup=False, highlight=False)

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()


class JsonWork:
    """Writes what happens as JSON objects, each on a line of its own, to the output."""

    verbose = True

    def advance(self, title: str, done: int, total: int, detail: str = "") -> None:
        """Write the end of a piece."""
        if done == total:
            emit({"event": "done_with", "title": title, "total": total})

    def checkpoint(self, stage: str, step: int, score: float) -> None:
        """Write the checkpoint."""
        emit({"event": "checkpoint", "stage": stage, "step": step, "validation": score})

    def note(self, text: str) -> None:
        """Write the note."""
        emit({"event": "note", "text": text})


@contextmanager
def show_work(as_json: bool = False, *, verbose: bool = False) -> Iterator[Work]:
    """Choose how work is shown."""
    if as_json:
        yield JsonWork()
    elif sys.stderr.isatty():
        bar = BarWork(verbose=verbose)
        try:
            yield bar
        finally:
            bar.stop()
    else:
        yield PlainWork(verbose=verbose)
