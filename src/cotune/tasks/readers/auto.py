from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cotune._places import expanded
from cotune.exceptions import InputError
from cotune.tasks.readers import _files
from cotune.tasks.readers._base import ReaderConfig, Source
from cotune.tasks.readers._reading import read_rows
from cotune.tasks.readers.containers import (
    AUTO,
    Loaders,
    NoRowsError,
    Tables,
    data_set,
    has_configurations,
    is_table,
    parted,
    rows_of,
    tasks_of,
)
from cotune.tasks.readers.instruction_induction import InstructionInductionReader
from cotune.tasks.readers.natural_instructions import NaturalInstructionsReader
from cotune.tasks.readers.templates import TaskTemplates, TemplateOptions

_COLLECTIONS: dict[str, type[NaturalInstructionsReader] | type[InstructionInductionReader]] = {
    "natural_instructions": NaturalInstructionsReader,
    "instruction_induction": InstructionInductionReader,
}
_TITLES = {
    "natural_instructions": "Natural Instructions",
    "instruction_induction": "instruction induction",
}
_MARKS = {
    "natural_instructions": {"Definition", "Instances"},
    "instruction_induction": {"induce", "execute"},
}
"""Keys that tell formats of JSON apart."""

_ON_HUB = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)?")


class AutoReader(TaskTemplates, ReaderConfig):
    """Reads data as it comes: the container by its name, what is in it by its fields, and says as what.

    Files of JSON, JSON lines, CSV, TSV and Parquet, folders of them or of ``save_to_disk``, data sets of the
    hub, with rows of Alpaca, input and output, prompt and completion, question and answer, text and label,
    several choices, or conversations; collections of Natural Instructions and instruction induction.
    Templates go before what is recognised.
    """

    path: str = Field(min_length=1)
    """A file, a folder, or the name of a data set on the hub."""
    config: str | None = None
    """The configuration of a data set; by default each is a task."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    name: str | None = None
    """The name of the task, where there is a single one."""
    task_column: str | None = AUTO
    """The column that says which task a row is of; null for none.

    By default "task" or "task_name", if it has several values, each repeated.
    """
    turns: Literal["all", "last"] = "all"
    """Which answers of a conversation are examples: the last, or all, each with what was said before it."""
    find_choices: bool = True
    """Whether few different targets, each repeated, make a closed set of answers, scored by accuracy."""
    max_rows: Annotated[int, Field(ge=1)] | None = None
    """The most rows of a split that are read, the first ones; data sets of the hub are streamed then."""

    def sources(self, base: Path) -> dict[str, Callable[[], Source]]:
        """Return what loads each task that the path holds."""
        local = base / expanded(self.path)
        reader = reader_of(local) if local.exists() else "auto"
        if reader != "auto":
            return self._of_collection(reader, base)
        tables = self._tables(local)
        column = self.task_column
        if column == AUTO and len(tables) > 1 and _is_data_set(local):
            column = None  # each configuration is a task, and looking into all would download all
        tasks: Loaders = {}
        for name, load in tables.items():
            one = {name: load} if column is None else parted(name, load, column, self.max_rows)
            if twice := tasks.keys() & one.keys():
                raise InputError(f"'{self.path}' holds two tasks named '{min(twice)}'; give each its own.")
            tasks |= one
        if self.name is not None:
            if len(tasks) != 1:
                raise InputError(
                    f"'name' names a single task, but '{self.path}' holds {len(tasks)}; leave it out."
                )
            tasks = dict(zip([self.name], tasks.values(), strict=True))
        options = self.options_by_task(tasks)
        folder = (local if local.is_dir() else local.parent) if local.exists() else None
        several = len(tasks) > 1
        return {
            name: partial(self._load, load, options[name], folder, name if several else "")
            for name, load in tasks.items()
        }

    def _of_collection(self, reader: str, base: Path) -> dict[str, Callable[[], Source]]:
        """Leave a collection with a format of its own to its reader."""
        cls = _COLLECTIONS[reader]
        given = {field for field in self.model_fields_set if field not in ReaderConfig.model_fields}
        if unknown := sorted(given - cls.model_fields.keys()):
            raise InputError(
                f"'{self.path}' is read as {_TITLES[reader]}, where '{unknown[0]}' would change nothing; "
                "leave it out."
            )
        options = {field: getattr(self, field) for field in given if field != "path"}
        sources = cls(path=Path(self.path), **options).sources(base)
        return {name: partial(_said, load, _TITLES[reader]) for name, load in sources.items()}

    def _tables(self, local: Path) -> Loaders:
        streaming = self.max_rows is not None
        if local.exists() and _is_data_set(local):
            return data_set(str(local), self.config, self.revision, streaming=streaming)
        if not local.exists() and not is_table(local) and _ON_HUB.fullmatch(self.path):
            try:
                return data_set(self.path, self.config, self.revision, streaming=streaming)
            except InputError as error:
                raise InputError(f"The path '{local}' does not exist, and on the hub: {error}") from None
        for option in ("config", "revision"):
            if getattr(self, option) is not None:
                raise InputError(f"'{option}' is of a data set of the hub, but '{self.path}' is none.")
        return tasks_of(_files.existing(Path(), local))

    def _load(
        self, load: Callable[[], Tables], options: TemplateOptions, folder: Path | None, task: str
    ) -> Source:
        tables = load()
        read = {split: rows_of(rows, self.max_rows) for split, rows in tables.splits.items()}
        if not any(rows for rows, _ in read.values()):
            raise NoRowsError(f"{tables.where} has no rows; a task needs some.")
        source = read_rows(
            {split: rows for split, (rows, _) in read.items()},
            options,
            path=self.path,
            folder=folder,
            task=task,
            turns=self.turns,
            find_choices=self.find_choices and self.metric in (None, "accuracy"),
            known=[] if tables.column is None else [tables.column],
        )
        cut = [split for split, (_, more) in read.items() if more or split in tables.cut]
        notes = (
            [f"only the first {self.max_rows:,} rows of {' and '.join(cut)} were read (max_rows)"]
            if cut
            else []
        )
        return replace(source, notes=(*tables.notes, *source.notes, *notes))


def _is_data_set(local: Path) -> bool:
    """Return whether a path is a data set with a card, or none on this machine."""
    return not local.exists() or (local.is_dir() and has_configurations(local))


def _said(load: Callable[[], Source], title: str) -> Source:
    source = load()
    return replace(source, notes=(f"read as {title}", *source.notes))


def reader_of(path: Path) -> str:
    """Return the name of the reader that a file or folder needs, which exists.

    Parameters
    ----------
    path : Path
        Of a folder the first JSON file decides.

    Raises
    ------
    InputError
        If it is a JSON file that cannot be read.
    """
    if path.is_dir():
        if (path / "raw" / "induce").is_dir():  # as its authors published it
            return "instruction_induction"
        files = _files.visible(path, "*.json")
        return _of_json(files[0]) if files else "auto"
    return _of_json(path) if path.suffix == ".json" else "auto"


def _of_json(path: Path) -> str:
    """Return which collection a file is of, if its keys are those of one."""
    try:
        content = _files.read_json(path)
    except InputError:  # lines of JSON, or told when it is read
        return "auto"
    keys = set(content) if isinstance(content, dict) else set()
    return next((name for name, marks in _MARKS.items() if marks <= keys), "auto")
