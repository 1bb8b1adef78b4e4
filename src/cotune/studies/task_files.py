"""Tasks named by a path: which reader a file or folder needs is told from what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import NonNegativeInt

from cotune._config import Config, parse
from cotune.exceptions import InputError
from cotune.studies.engine import read_study_file
from cotune.studies.readers import READERS
from cotune.tasks import Task
from cotune.tasks.readers import ReaderConfig, reader_of

TaskSource: TypeAlias = Task | str | Path
"""A task, or the file or folder it is read from."""

SPLIT_SEED = 0
"""Decides which examples are in which split, unless the file names a seed: the same for those who tune and
those who evaluate, so that what was trained on is never tested on."""

_TABLES = ("auto", "jsonl", "huggingface")
"""Readers whose sources name their columns as they please."""


class _TaskFile(Config):
    tasks: tuple[Annotated[ReaderConfig, READERS], ...]
    seed: NonNegativeInt = SPLIT_SEED


def read_tasks(
    path: str | Path,
    *,
    reader: str | None = None,
    options: Mapping[str, Any] | None = None,
    table_options: Mapping[str, Any] | None = None,
) -> list[Task]:
    """Read the tasks of a file or folder.

    Parameters
    ----------
    path : str or Path
        What :class:`~cotune.tasks.readers.AutoReader` reads (a file, a folder, a data set of the hub), or a
        YAML file: a reader with its options, or ``tasks`` as in a study file.
    reader : str, optional
        A key of :data:`cotune.studies.readers.READERS`, in place of the one told from the content.
    options : mapping, optional
        Options of the reader, which go before those of a YAML file.
    table_options : mapping, optional
        The same for readers of tables alone, whose columns need a template; those of a YAML file go first.

    Returns
    -------
    list of Task

    Raises
    ------
    InputError
        If the path does not exist, its content fits no reader, or a task is not usable.

    Examples
    --------
    Of a file with the columns ``question`` and ``answer``:

    >>> (task,) = cotune.read_tasks("capitals.csv")
    >>> task.name, sum(len(task[split]) for split in ("train", "validation", "test"))
    ('capitals', 12)
    """
    path = Path(path)
    if reader is None and path.suffix in (".yaml", ".yml"):
        data, base = read_study_file(path), path.resolve().parent
        entries = data["tasks"] if "tasks" in data else {k: v for k, v in data.items() if k != "seed"}
        entries = [entries] if isinstance(entries, Mapping) else entries
        content = {k: v for k, v in data.items() if k == "seed"}
    else:
        base, content = Path.cwd(), {}
        entries = [{"reader": reader or recognise_reader(path), "path": str(path)}]
    if isinstance(entries, list):
        entries = [_complete(entry, options or {}, table_options or {}, base) for entry in entries]
    file = parse(_TaskFile, {**content, "tasks": entries}, str(path))
    return [task for each in file.tasks for task in each.read(base=base, seed=file.seed)]


def read_task(path: str | Path, **options: Any) -> Task:
    """Read a file or folder of one task.

    Parameters
    ----------
    path : str or Path
        As :func:`read_tasks` takes it.
    **options
        Those of :func:`read_tasks`.

    Raises
    ------
    InputError
        As :func:`read_tasks`, and if there are several tasks.
    """
    tasks = read_tasks(path, **options)
    if len(tasks) != 1:
        names = ", ".join(task.name for task in tasks[:4])
        raise InputError(
            f"{path} holds {len(tasks)} tasks ({names}, ...) and a model is tuned on one of a path; name the "
            "file of each, or choose one by the reader's option include (--set 'task.include=[NAME]')."
        )
    return tasks[0]


def gather_tasks(sources: TaskSource | Iterable[TaskSource]) -> list[Task]:
    """Return tasks as they are, and those of every path read.

    Parameters
    ----------
    sources : Task, str, Path or iterable of them
        Paths as :func:`read_tasks` takes them.

    Raises
    ------
    InputError
        As :func:`read_tasks`.
    """
    if isinstance(sources, Task | str | Path):
        sources = [sources]
    return [task for one in sources for task in ([one] if isinstance(one, Task) else read_tasks(one))]


def _complete(entry: Any, options: Mapping[str, Any], table_options: Mapping[str, Any], base: Path) -> Any:
    if not isinstance(entry, Mapping):  # told by the validation
        return entry
    if "reader" not in entry and isinstance(entry.get("path"), str):
        entry = {"reader": recognise_reader(base / entry["path"]), **entry}
    defaults = table_options if entry.get("reader") in _TABLES else {}
    return merged({**defaults, **entry}, options)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested options with changes in their place."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        result[key] = value
    return result


def recognise_reader(path: Path) -> str:
    """Return the name of the reader that a file or folder needs.

    Parameters
    ----------
    path : Path
        A file or folder; what is not there may be a data set of the hub.
    """
    return reader_of(path) if path.exists() else "auto"
