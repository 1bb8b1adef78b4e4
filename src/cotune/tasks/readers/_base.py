"""What all readers share: their options, choosing tasks by name, and turning sources into tasks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.tasks._names import suggest
from cotune.tasks._task import Example, Task
from cotune.tasks.metrics import get_metric
from cotune.tasks.prompts import get_format
from cotune.tasks.readers._instructions import Instructions, check_instructions, instructions_of
from cotune.tasks.readers._options import Options
from cotune.tasks.readers._rows import check_unicode
from cotune.tasks.readers._splits import split_examples
from cotune.tasks.readers._templated import all_templates, numbered, rows_template, templated
from cotune.tasks.readers.containers import NoRowsError
from cotune.tasks.readers.templates import TemplateOptions


class MaxExamples(Options):
    """The most examples that a split keeps; null keeps all."""

    train: Annotated[int, Field(ge=1)] | None = 256
    """Examples to train on."""
    validation: Annotated[int, Field(ge=1)] | None = 32
    """Examples to choose checkpoints by."""
    test: Annotated[int, Field(ge=1)] | None = 64
    """Examples to score on."""


class Fractions(Options):
    """The shares of the three splits where the source has a single one."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Share to train on."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share to choose checkpoints by."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share to score on."""

    @model_validator(mode="after")
    def _check_sum(self) -> Fractions:
        total = self.train + self.validation + self.test
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise InputError(
                f"The fractions of train, validation and test must sum to 1, got {total:g} instead."
            )
        return self


@dataclass(frozen=True)
class Source(Brief):
    """What a reader found of one task.

    Parameters
    ----------
    instruction : str
        What every prompt of the task opens with.
    splits : mapping of str to sequence of Example
        The splits that the source has, by names of :data:`cotune.tasks.SPLITS`.
    metric : str
        The metric that fits unless the user names another.
    category : str
        The family the task's author put it in.
    why_metric : str
        Why that metric fits, in words, where it is not told from the answers.
    format : str
        The format that fits unless the user names another.
    notes : tuple of str
        One sentence for everything that was dropped.
    together : mapping of str to str
        For inputs that must be in one split with others, such as the turns of a conversation, a name of what
        they belong to.
    """

    instruction: str
    splits: Mapping[str, Sequence[Example]]
    metric: str
    category: str = ""
    format: str = "default"
    notes: tuple[str, ...] = ()
    together: Mapping[str, str] = field(default_factory=dict)
    why_metric: str = ""


class ReaderConfig(Options, ABC):
    """Options of a reader and the way from them to tasks."""

    include: list[str] | None = None
    """Names of the tasks to read, or patterns such as "task18*"; all by default."""
    exclude: list[str] = Field(default_factory=list)
    """Names or patterns of tasks to leave out."""
    metric: str | None = None
    """The metric of all tasks; by default that which fits each."""
    format: str | None = None
    """The format of all tasks' prompts; by default that which fits each."""
    stops: list[str] | None = None
    """Strings before which an answer ends, such as ["###"].

    By default where the next prompt of the format would open, and, for tasks whose answers are all of one
    line, at the end of the line; an empty list leaves it to the model.
    """
    max_examples: MaxExamples = MaxExamples()
    """The most examples that each split keeps."""
    fractions: Fractions = Fractions()
    """The shares of the splits where the source has a single one."""
    instructions: Instructions | Annotated[Path, Field(strict=False)] | None = None
    """Instructions that make a task each of the examples of one, or a file of them; see
    :func:`cotune.tasks.readers.read_instructions`."""

    @field_validator("instructions")
    @classmethod
    def _check_instructions(cls, instructions: Instructions | Path | None) -> Instructions | Path | None:
        if instructions is not None and not isinstance(instructions, Path):
            check_instructions(instructions, "it")
        return instructions

    @model_validator(mode="after")
    def _say_instructions_once(self) -> ReaderConfig:
        for other in ("instruction", "instruction_number"):
            if self.instructions is not None and other in self.model_fields_set:
                raise InputError(f"'instructions' and '{other}' both say what prompts open with; give one.")
        return self

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, metric: str | None) -> str | None:
        return metric if metric is None else get_metric(metric).name

    @field_validator("format")
    @classmethod
    def _check_format(cls, format: str | None) -> str | None:
        if format is not None:
            get_format(format)
        return format

    @field_validator("stops")
    @classmethod
    def _check_stops(cls, stops: list[str] | None) -> list[str] | None:
        if stops is not None and (not all(stops) or len(set(stops)) < len(stops)):
            raise InputError(f"'stops' must be different texts of at least one character each, got {stops}.")
        return stops

    def read(self, *, base: Path, seed: int) -> list[Task]:
        """Read the tasks.

        Parameters
        ----------
        base : Path
            The folder that relative paths start from.
        seed : int
            Decides which examples go to which split, and which are kept.

        Returns
        -------
        list of Task
            In the order of the source; where there are ``instructions``, a task for each of them in place of
            the one, named "name-001" and on, which share the examples.

        Raises
        ------
        InputError
            If a path, a name or an example is not usable.
        """
        sources = self.sources(base)
        selected = self._selected(list(sources))
        instructions = instructions_of(self.instructions, selected, base)
        if not instructions:
            return self._tasks({name: sources[name] for name in selected}, seed)
        made: list[Task] = []
        for name in selected:
            texts, repeated = numbered(instructions[name])
            if all_templates(texts, name):
                tasks = self._templated(name, texts, base, seed)
            else:
                tasks = _instructed(self._task(name, sources[name](), seed), texts)
            made += [replace(task, notes=(*task.notes, repeated)) for task in tasks] if repeated else tasks
        return made

    def _templated(self, name: str, texts: Mapping[int, str], base: Path, seed: int) -> list[Task]:
        """Fill the rows of a task into each of its templates."""
        options = self.row_options(name)
        if options is None:
            raise InputError(
                f"The instructions of the task '{name}' are templates, and this reader has no rows to fill "
                "them with; read the data with the reader jsonl, auto or huggingface."
            )
        rows = self.model_copy(update={"template": rows_template(texts, options, name)})
        task = self._task(name, rows.sources(base)[name](), seed)
        return templated(task, texts, options, self.format or "plain")

    def row_options(self, name: str) -> TemplateOptions | None:
        """Return how the rows of a task become examples; None of a reader that has no rows."""
        return None

    def each(self, *, base: Path, seed: int) -> dict[str, Task | InputError]:
        """Read each task by itself: what cannot be read stands for the task, and hinders no other.

        Parameters
        ----------
        base, seed
            As :meth:`read` takes them.

        Raises
        ------
        InputError
            If the path or a name is not usable.
        """
        sources = self.sources(base)
        found: dict[str, Task | InputError] = {}
        for name in self._selected(list(sources)):
            try:
                found[name] = self._task(name, sources[name](), seed)
            except InputError as error:
                found[name] = error
        return found

    @abstractmethod
    def sources(self, base: Path) -> dict[str, Callable[[], Source]]:
        """Return, by task name and in order, what loads each task.

        Parameters
        ----------
        base : Path
            The folder that relative paths start from.
        """

    def _selected(self, names: list[str]) -> list[str]:
        for option, patterns in (("include", self.include or []), ("exclude", self.exclude)):
            for pattern in patterns:
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise InputError(f"No task matches '{pattern}' of '{option}'; {suggest(pattern, names)}")
        selected = [
            name
            for name in names
            if (self.include is None or any(fnmatchcase(name, pattern) for pattern in self.include))
            and not any(fnmatchcase(name, pattern) for pattern in self.exclude)
        ]
        if not selected:
            raise InputError(
                f"'include' and 'exclude' leave none of the {len(names)} tasks; at least one has to stay."
            )
        return selected

    def _tasks(self, sources: Mapping[str, Callable[[], Source]], seed: int) -> list[Task]:
        """Read what has rows; files without any are left out where there are others, and said."""
        tasks: list[Task] = []
        empty: dict[str, NoRowsError] = {}
        for name, load in sources.items():
            try:
                tasks.append(self._task(name, load(), seed))
            except NoRowsError as error:
                empty[name] = error
        if not tasks:
            raise next(iter(empty.values()))
        if empty:
            note = f"beside it, left out since they hold no rows: {', '.join(empty)}"
            tasks[0] = replace(tasks[0], notes=(*tasks[0].notes, note))
        return tasks

    def _task(self, name: str, source: Source, seed: int) -> Task:
        check_unicode(f"The name or instruction of the task {name!r}", name + source.instruction)
        try:
            splits, left_out, notes = split_examples(
                source.splits,
                task=name,
                seed=seed,
                fractions=self.fractions.model_dump(),
                caps=self.max_examples.model_dump(),
                together=source.together,
            )
        except InputError as error:
            # Too few examples may have been many before some were dropped.
            raise InputError(f"{error} {_sentences(source.notes)}".rstrip()) from None
        metric = self.metric or source.metric
        format = self.format or source.format
        stops = None if self.stops is None else tuple(self.stops)
        task = Task(name, source.instruction, splits, metric, source.category, (), format, stops)
        why = "as was asked for" if self.metric else source.why_metric or _why(task)
        said = (*source.notes, *notes, *_stops_left_out(task))
        return replace(task, notes=said, why_metric=why, left_out=left_out)


def _why(task: Task) -> str:
    """Say what the metric of a task is told from: its answers."""
    if all(example.choices for examples in task.splits.values() for example in examples):
        return "since each answer is one of a closed set"
    return "since answers are free text"


def _sentences(notes: Sequence[str]) -> str:
    return " ".join(f"{note[:1].upper()}{note[1:]}." for note in notes)


def _stops_left_out(task: Task) -> list[str]:
    """Say which of a task's own stops its answers hold, so that they end none."""
    return [
        f"the stop {stop!r} ends no answer, since an answer of the task holds it"
        for stop in task.stops or ()
        if task.answers_hold(stop)
    ]


def _instructed(task: Task, instructions: Mapping[int, str]) -> list[Task]:
    """Make a task of each instruction; all hold the same splits, in memory too."""
    return [
        replace(task, name=f"{task.name}-{number:03}", instruction=text)
        for number, text in instructions.items()
    ]
