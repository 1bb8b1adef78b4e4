"""Study files of recordings: of any model and tasks, and of the paper's cases."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cotune._config import did_you_mean
from cotune._places import expanded
from cotune.benchmark.definitions import PAPER_MODEL, recordings, study_of
from cotune.exceptions import InputError
from cotune.studies.engine import read_study_file
from cotune.studies.task_files import recognise_reader


def paper_study(recording: str, model: str | None = None) -> dict[str, Any]:
    """Return the study that records the table of some of the paper's cases, as plain data.

    Parameters
    ----------
    recording : str
        A name of :func:`~cotune.benchmark.definitions.recordings`.
    model : str, optional
        Another checkpoint than the paper's.

    Raises
    ------
    InputError
        If there is no such recording.
    """
    names = recordings()
    if recording not in names:
        near = did_you_mean(recording, names)
        raise InputError(f"--paper must be one of: {', '.join(names)}; got {recording!r}{near}.")
    return study_of(recording, model or PAPER_MODEL)


def recording_study(name: str, model: str, tasks: Sequence[Path], home: Path) -> dict[str, Any]:
    """Return a study that records the affinity of tasks, as plain data.

    Parameters
    ----------
    name : str
        Of the study.
    model : str
        Folder of a checkpoint, or a name on the hub.
    tasks : sequence of Path
        Task files and folders, and YAML files of readers, as :func:`~cotune.studies.task_files.read_tasks`
        takes them.
    home : Path
        The folder the study file will lie in; local paths are written relative to it.

    Raises
    ------
    InputError
        If a path does not exist or fits no reader.
    """
    where = os.path.relpath(model, home) if Path(model).is_dir() else model
    return {
        "name": name,
        "tasks": [entry for path in tasks for entry in _entries(path, home)],
        "learner": {"kind": "language_model", "model": where},
        "affinity": {"estimator": "higher_order"},
        "comparison": None,
    }


def _entries(path: Path, home: Path) -> list[dict[str, Any]]:
    """Return the readers of a path."""
    if path.suffix not in (".yaml", ".yml"):
        return [{"reader": recognise_reader(path), "path": os.path.relpath(path, home)}]
    data = read_study_file(path)
    found = data.get("tasks", data)
    readers = [found] if isinstance(found, Mapping) else found
    if not isinstance(readers, list) or not all(isinstance(reader, Mapping) for reader in readers):
        raise InputError(f"{path}: it must hold a reader with its options, or a list of them under 'tasks'.")
    return [_moved(reader, path.resolve().parent, home) for reader in readers]


def _moved(reader: Mapping[str, Any], base: Path, home: Path) -> dict[str, Any]:
    """Let a reader's path, unless it is a name on the hub, start from another folder."""
    entry = dict(reader)
    local = base / expanded(str(entry.get("path", "")))
    if "path" in entry and local.exists():
        entry["path"] = os.path.relpath(local, home)
    return entry
