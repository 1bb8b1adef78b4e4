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
from cotune.tasks.readers import ReaderConfig
from cotune.tasks.readers._files import existing, read_json, visible

TaskSource: TypeAlias = Task | str | Path
"""A task, or the file or folder it is read from."""

SPLIT_SEED = 0
"""Decides which examples are in which split, unless the file names a seed: the same for those who tune and
those who evaluate, so that what was trained on is never tested on."""

_MARKS = {
    "natural_instructions": {"Definition", "Instances"},
    "instruction_induction": {"induce", "execute"},
}
"""Keys that tell formats of JSON apart."""

_TABLES = ("jsonl", "huggingface")
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
        A file of JSON lines, a task file of Natural Instructions or of instruction induction, a folder of
        any of them, or a YAML file: a reader with its options, or ``tasks`` as in a study file.
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
        entries = [_complete(entry, options or {}, table_options or {}) for entry in entries]
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
            f"{path} holds {len(tasks)} tasks ({names}, ...) and a model is tuned on one; name the file of "
            "one, or choose it by the reader's option include (--set 'task.include=[NAME]')."
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


def _complete(entry: Any, options: Mapping[str, Any], table_options: Mapping[str, Any]) -> Any:
    if not isinstance(entry, Mapping):  # told by the validation
        return entry
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
        A file of JSON lines, a task file of Natural Instructions or of instruction induction, or a folder of
        any of them.

    Raises
    ------
    InputError
        If the path does not exist or its content fits no reader.
    """
    existing(Path.cwd(), path)
    if path.is_dir():
        if (path / "raw" / "induce").is_dir():  # as its authors published it
            return "instruction_induction"
        files = visible(path, "*.json")
        if not files:
            return "jsonl"
        path = files[0]
    if path.suffix == ".jsonl":
        return "jsonl"
    if path.suffix == ".json":
        content = read_json(path)
        keys = set(content) if isinstance(content, dict) else set()
        for name, marks in _MARKS.items():
            if marks <= keys:
                return name
    raise InputError(
        f"{path} is not a task file that is recognised: give JSON lines (.jsonl), JSON of Natural "
        "Instructions (Definition, Instances) or of instruction induction (induce, execute), a YAML file "
        f"with a reader and its options, or name the reader: {', '.join(sorted(READERS))}."
    )
