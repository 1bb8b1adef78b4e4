"""What trackers of accelerate (TensorBoard, W&B, MLflow ...) are told of a study's runs as they end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cotune._config import did_you_mean
from cotune.exceptions import InputError
from cotune.studies.engine._runs import RunRecord

_POINTS = 50
"""Points of a run's curve of losses, each the mean over the steps since the one before."""


class Tracking:
    """Tells trackers what became of runs, all on one axis: the training steps of the study so far.

    Parameters
    ----------
    trackers : sequence of accelerate's GeneralTracker
        Started already.
    step : int
        Training steps of the runs that are stored.
    note : callable
        Is told when a tracker fails; the study goes on without it.
    """

    def __init__(self, trackers: Sequence[Any], step: int, note: Callable[[str], None]) -> None:
        self._trackers, self._step, self._note = list(trackers), step, note

    def finished(self, stage: str, record: RunRecord) -> None:
        """Tell the curve of a run, then its scores by task."""
        losses = np.asarray(record.losses, float)
        for part in np.array_split(losses, min(_POINTS, len(losses))) if len(losses) else []:
            self._step += len(part)
            self._log({f"{stage}/loss": float(part.mean())})
        values = {f"{stage}/score/{task}": score.value for task, score in record.scores.items()}
        self._log(
            {**values, f"{stage}/seconds": record.seconds, f"{stage}/failed": float(bool(record.error))}
        )

    def _log(self, values: Mapping[str, float]) -> None:
        for tracker in list(self._trackers):
            with self._sparing(tracker):
                tracker.log(dict(values), step=self._step)

    def close(self) -> None:
        """Let every tracker end its run."""
        for tracker in list(self._trackers):
            with self._sparing(tracker):
                tracker.finish()

    @contextmanager
    def _sparing(self, tracker: Any) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a stranger's service does
            self._trackers.remove(tracker)
            self._note(
                f"The tracker {tracker.name} failed ({_first_line(error)}); the study goes on without it."
            )


def check_trackers(names: Sequence[str]) -> None:
    """See that accelerate has every tracker, and the tracker its package.

    Raises
    ------
    InputError
        If one is missing.
    """
    if not names:
        return
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    from accelerate.utils import LoggerType

    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            known = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
            near = did_you_mean(name, LOGGER_TYPE_TO_CLASS)
            raise InputError(f"executor.track: accelerate has no tracker {name!r}{near}; it has {known}.")
        if name in LoggerType and name not in get_available_trackers():
            raise InputError(
                f"executor.track: tracker {name!r} needs a package that is not installed: pip install {name}."
            )


@contextmanager
def tracking(
    names: Sequence[str],
    project: str,
    folder: Path,
    config: Mapping[str, Any],
    *,
    step: Callable[[], int],
    note: Callable[[str], None],
) -> Iterator[Tracking]:
    """Start trackers, which end with the block.

    Parameters
    ----------
    names : sequence of str
        As accelerate calls them.
    project : str
        What the study is called.
    folder : Path
        For trackers that write files.
    config : mapping
        What the study's file says.
    step : callable
        Counts the training steps of the runs that are stored; asked where there are trackers.
    note : callable
        Is told when a tracker fails.

    Raises
    ------
    InputError
        If a tracker is missing or does not start.
    """
    check_trackers(names)
    started = [_start(name, re.sub(r"[^A-Za-z0-9._-]+", "-", project), folder, config) for name in names]
    told = Tracking(started, step() if started else 0, note)
    try:
        yield told
    finally:
        told.close()


def _start(name: str, project: str, folder: Path, config: Mapping[str, Any]) -> Any:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    cls = LOGGER_TYPE_TO_CLASS[name]
    try:
        tracker = cls(project, str(folder)) if cls.requires_logging_directory else cls(project)
        tracker.start()
        tracker.store_init_configuration(dict(_flat(config)))
    except Exception as error:  # whatever a stranger's service does
        raise InputError(
            f"executor.track: the tracker {name!r} does not start: {_first_line(error)}."
        ) from error
    return tracker


def _flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield numbers and text of nested mappings under dotted keys; lists as text, nothing of null."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", value if isinstance(value, bool | int | float | str) else str(value)


def _first_line(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}{f': {line}' if line else ''}".rstrip(".")
