"""How a study's progress is shown: a bar on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cotune._neutral import visible

if TYPE_CHECKING:
    from cotune.studies import Events, RunRecord
    from cotune.studies.engine import UnderWay

_EVERY_SECONDS = 10.0
_MOST_SECONDS = 160.0
"""Lines come less and less often, down to this, while no run ends."""


class PlainEvents:
    """Writes a line when a stage begins and ends, and now and then between."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self._title = ""
        self._total = self._done = self._reused = 0
        self._began = self._told = time.monotonic()
        self._wait, self._share = _EVERY_SECONDS, 0.0

    def stage(self, title: str, total: int, reused: int) -> None:
        """Begin a stage."""
        self._title, self._total, self._done, self._reused = title, total, reused, reused
        self._began = self._told = time.monotonic()
        self._wait, self._share = _EVERY_SECONDS, 0.0
        print(
            f"{title}: {plural(total, 'run')}" + (f", {reused} of them stored" if reused else ""), flush=True
        )

    def finished(self, record: RunRecord) -> None:
        """Count a run, and tell when some time has passed."""
        self._done += 1
        self._wait = _EVERY_SECONDS
        if record.error:
            self.note(record.error)
        if self._done == self._total or time.monotonic() - self._told >= self._wait:
            self._tell("")

    def under_way(self, progress: UnderWay) -> None:
        """Tell how far runs are when some time has passed, ever longer until one has ended."""
        self._share = progress.share
        if self._done < self._total and progress.steps and time.monotonic() - self._told >= self._wait:
            self._wait = min(2 * self._wait, _MOST_SECONDS)
            self._tell(f", {_steps(progress)}")

    def _tell(self, steps: str) -> None:
        now = time.monotonic()
        self._told = now
        spent, rest = now - self._began, ""
        if self._share > 0.02 and self._done < self._total:  # the first steps pay for starting the workers
            rest = f", about {duration(spent / self._share * (1 - self._share))} left"
        runs = f"{self._done} of {plural(self._total, 'run')}"
        print(f"{self._title}: {runs}{steps} in {duration(spent)}{rest}", flush=True)

    def note(self, text: str) -> None:
        """Write the sentence."""
        print(f"  {text}", flush=True)


class BarEvents:
    """Shows a bar with the time left."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = Console()
        self._progress = Progress(
            TextColumn("{task.description:<12}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[runs]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[steps]}"),
            console=self._console,
        )
        self._task: Any = None
        self._tasks: dict[str, Any] = {}
        self._done = self._total = self._reused = 0

    def stage(self, title: str, total: int, reused: int) -> None:
        """Begin a bar, or let that of the stage grow."""
        self._progress.start()
        self._done, self._total, self._reused = reused, total, reused
        told: dict[str, Any] = {"runs": self._runs, "steps": ""}
        if title not in self._tasks:
            self._tasks[title] = self._progress.add_task(
                visible(title), total=total, completed=reused, **told
            )
        self._task = self._tasks[title]
        self._progress.update(self._task, total=total, completed=reused, **told)

    def finished(self, record: RunRecord) -> None:
        """Count a run; the bar moves with the work, of which runs are not equal parts."""
        if record.error:
            self.note(record.error)
        self._done += 1
        whole: dict[str, Any] = {"completed": self._total, "steps": ""} if self._done == self._total else {}
        self._progress.update(self._task, runs=self._runs, **whole)

    def under_way(self, progress: UnderWay) -> None:
        """Move the bar, and tell how far runs are."""
        done = self._reused + progress.share * (self._total - self._reused)
        steps: dict[str, Any] = {"steps": _steps(progress)} if progress.steps else {}
        self._progress.update(self._task, completed=done, **steps)

    @property
    def _runs(self) -> str:
        return f"{self._done}/{self._total}"

    def note(self, text: str) -> None:
        """Write the sentence above the bar."""
        self._console.print(f"  {visible(text)}", markup=False, highlight=False)

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()


class JsonEvents:
    """Writes every event as a JSON object on a line of its own."""

    verbose = True

    def __init__(self) -> None:
        self._told = time.monotonic()

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

    def under_way(self, progress: UnderWay) -> None:
        """Write how far runs are, now and then."""
        if progress.steps and time.monotonic() - self._told >= _EVERY_SECONDS:
            self._told = time.monotonic()
            running = [{"step": step, "steps": steps} for step, steps in progress.steps]
            emit({"event": "steps", "runs": running, "share": round(progress.share, 4)})

    def note(self, text: str) -> None:
        """Write the note."""
        emit({"event": "note", "text": text})


def _steps(progress: UnderWay) -> str:
    """Write how far runs under way are: ``"step 57 of 228"``, ``"steps 57 of 228 and 3 of 19"``."""
    first = [f"{step:,} of {steps:,}" for step, steps in progress.steps[:4]]
    more = len(progress.steps) - len(first)
    if more:
        return f"steps {', '.join(first)} and {more:,} more"
    return f"step{'s' if len(first) > 1 else ''} {' and '.join(first)}"


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
