from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from cotune.exceptions import InputError
from cotune.tasks._task import SPLITS
from cotune.tasks.readers import _files
from cotune.tasks.readers._base import ReaderConfig, Source
from cotune.tasks.readers._rows import Unusable
from cotune.tasks.readers.templates import TaskTemplates, TemplateOptions


class JsonLinesReader(TaskTemplates, ReaderConfig):
    """Reads files of JSON lines.

    A file is a task named after it. A folder with train.jsonl, validation.jsonl or test.jsonl is a task with
    those splits; any other folder holds a task in every file and every such folder in it.
    """

    path: Annotated[Path, Field(strict=False)]
    """A .jsonl file, the folder of a task, or a folder of either."""
    name: str | None = None
    """The name of the task, where there is a single one."""

    def sources(self, base: Path) -> dict[str, Callable[[], Source]]:
        """Return what loads each file of lines."""
        path = _files.existing(base, self.path)
        tasks = _tasks(path)
        if self.name is not None:
            if len(tasks) != 1:
                raise InputError(
                    f"'name' names a single task, but '{path}' holds {len(tasks)}; leave it out."
                )
            tasks = dict(zip([self.name], tasks.values(), strict=True))
        options = self.options_by_task(tasks)
        return {name: partial(_load, files, options[name]) for name, files in tasks.items()}


def _tasks(path: Path) -> dict[str, dict[str, Path]]:
    """Return the files of every task by split."""
    if path.is_file():
        return {path.stem: {"train": path}}
    if files := _split_files(path):
        return {path.resolve().name: files}
    tasks: dict[str, dict[str, Path]] = {}
    for entry in _files.visible(path, "*"):
        if entry.is_dir():
            name, files = entry.name, _split_files(entry)
        else:
            name, files = entry.stem, {"train": entry} if entry.suffix == ".jsonl" else {}
        if files and name in tasks:
            raise InputError(
                f"The folder '{path}' holds two tasks named '{name}', a file and a folder; keep one."
            )
        if files:
            tasks[name] = files
    if not tasks:
        raise InputError(
            f"The folder '{path}' has no .jsonl file and no folder with train.jsonl; give one that has."
        )
    return tasks


def _split_files(folder: Path) -> dict[str, Path]:
    files = {split: folder / f"{split}.jsonl" for split in SPLITS}
    return {split: file for split, file in files.items() if file.is_file()}


def _load(files: dict[str, Path], options: TemplateOptions) -> Source:
    unusable = Unusable(next(iter(files.values())).parent)
    lines = {split: _files.read_json_lines(file) for split, file in files.items()}
    splits = unusable.splits(lines, partial(options.examples, unusable=unusable), files)
    return Source(
        options.instruction,
        splits,
        options.default_metric,
        format=options.default_format,
        notes=unusable.notes,
        why_metric=options.why_metric,
    )
