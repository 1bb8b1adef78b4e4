"""What data turn out to hold, and the lines of a study file that do not depend on its kind."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from cotune._places import expanded
from cotune.answering import encode_example
from cotune.findings.wording import count
from cotune.models import Encoded, Encoder
from cotune.tasks import SPLITS, Task

_MOST_TARGET_TOKENS = 1024
_ROUNDED = 32
_LISTED = 40
"""Tasks that the file lists with what they were read as; of more it lists the first."""

COMMANDS = (
    ("preview", "what the model will see of each"),
    ("plan", "what it will cost"),
    ("run", "do it; the same command goes on after an interruption"),
)
"""What is done with a study file, in this order, and why."""


@dataclass(frozen=True)
class Found:
    """What a study file is written from.

    Parameters
    ----------
    data, model : str
        As they were given.
    out : Path
        The file that is written.
    tasks : tuple of Task
        The tasks that can be read.
    left_out : mapping of str to str
        Those that cannot, and why.
    sizes : Sizes
        Their lengths in the model's tokens.
    trust : mapping of str to object
        Keys that let the model's own code run.
    apart : tuple of str
        Names of the tasks that the kind of study sets apart.
    """

    data: str
    model: str
    out: Path
    tasks: tuple[Task, ...]
    left_out: dict[str, str]
    sizes: Sizes
    trust: dict[str, Any]
    apart: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[Task, ...]:
        """The tasks that are not set apart."""
        return tuple(task for task in self.tasks if task.name not in self.apart)

    @property
    def set_apart(self) -> tuple[Task, ...]:
        """The tasks that are."""
        return tuple(task for task in self.tasks if task.name in self.apart)

    @property
    def path(self) -> str:
        """The data as the study file names them, as a YAML value."""
        return value(_relative(self.data, self.out.resolve().parent))

    def head(self, question: str) -> Iterator[str]:
        """Write what is asked, what to do with the file, and its name."""
        yield f"# {question}"
        yield "#"
        yield from (f"#   {f'cotune {command} {self.out}':<34}{what}" for command, what in COMMANDS)
        yield "#"
        yield f"# Results go to {self.out.with_suffix('')}/. docs/study-files.md tells every key; cotune"
        yield "# schema prints them for an editor."
        yield f"name: {value(Path(self.data).resolve().name if Path(self.data).exists() else self.data)}"

    def opening(self, question: str, kind: str) -> Iterator[str]:
        """Write what stands before the tasks of a study whose file names the model at the top."""
        yield from self.head(question)
        yield f"kind: {kind}"
        yield ""
        yield from self.model_lines()
        yield ""
        yield from self.read_as()
        yield from self.without()

    def reader(self, purpose: str, caps: str, *, apart: bool) -> Iterator[str]:
        """Write the entry of ``tasks`` for those that are set apart, or for all others."""
        yield f"  # {purpose}"
        yield f"  - path: {self.path}"
        if apart:
            yield f"    include: {value(list(self.apart))}"
        else:
            yield f"    exclude: {value([*self.apart, *self.left_out])}"
        yield f"    max_examples: {caps}"

    def model_lines(self) -> Iterator[str]:
        """Write the model, and the limits where they are not the defaults."""
        yield "# A folder of a transformers checkpoint, toy_language (comes with cotune), or a hub name."
        yield f"model: {value(_relative(self.model, self.out.resolve().parent))}"
        yield from (f"{key}: {value(content)}" for key, content in self.trust.items())
        yield from self.sizes.lines()

    def read_as(self) -> Iterator[str]:
        """Say what every task was read as, and how it is scored."""
        yield "# What was found; include: [NAME, ...] takes some of it, exclude: [NAME, ...] leaves some out."
        for task in self.tasks[:_LISTED]:
            sizes = " / ".join(str(len(task[split])) for split in SPLITS)
            read = next((note for note in task.notes if note.startswith("read as")), "read")
            yield f"#   {task.name}: {_one_line(read)}; {sizes} used, {task.metric}"
        if len(self.tasks) > _LISTED:
            yield f"#   and {len(self.tasks) - _LISTED} more"

    def without(self) -> Iterator[str]:
        """Say what could not be read."""
        if self.left_out:
            yield "# These could not be read as they are; with what is said here they can be taken back:"
            yield from (f"#   {name}: {_one_line(reason)}" for name, reason in self.left_out.items())

    def metrics(self) -> Counter[str]:
        """Count the tasks by metric."""
        return Counter(task.metric for task in self.tasks)


@dataclass(frozen=True)
class Sizes:
    """How long prompts and targets are in the model's tokens, and how many are above the limits."""

    longest_prompt: int
    longest_target: int
    n_cut: int
    n_dropped: int
    limits: tuple[int, int]

    @classmethod
    def of(cls, tasks: Sequence[Task], encoder: Encoder) -> Sizes:
        """Encode every example of every task."""
        limits = encoder.max_prompt_tokens, encoder.max_target_tokens
        encoder.max_prompt_tokens = encoder.max_target_tokens = 1 << 30
        encoded = [one for task in tasks for one in _encoded(encoder, task)]
        prompts, targets = [len(one.prompt) for one in encoded], [len(one.target) for one in encoded]
        n_cut = sum(length > limits[0] for length in prompts)
        n_dropped = sum(length > limits[1] for length in targets)
        return cls(max(prompts), max(targets), n_cut, n_dropped, limits)

    def lines(self) -> Iterator[str]:
        """Write the limits, where they are not the defaults, with what they are for."""
        if self.n_cut:
            yield f"# {count(self.n_cut, 'prompt')} of more tokens, up to {self.longest_prompt:,}, lose"
            yield "# the end of their input; a higher limit takes more memory."
            yield f"max_prompt_tokens: {self.limits[0]}"
        if self.n_dropped:
            enough = -(-self.longest_target // _ROUNDED) * _ROUNDED
            dropped = count(self.n_dropped, "example")
            yield f"# At the usual limit of {self.limits[1]} tokens {dropped} would be dropped; the longest"
            yield f"# target takes {self.longest_target:,}."
            yield f"max_target_tokens: {min(enough, _MOST_TARGET_TOKENS)}"


class Start(ABC):
    """How a study file of one kind is written."""

    option: ClassVar[str | None] = None
    """The option that names the tasks it sets apart; None where it sets none."""
    least: ClassVar[int] = 1
    """The fewest tasks, besides those set apart."""
    finding: ClassVar[str]
    """What is done with the tasks, behind their number: "to group"."""

    @abstractmethod
    def lines(self, found: Found) -> Iterator[str]:
        """Write the file."""


def indented(lines: Iterator[str]) -> Iterator[str]:
    """Put lines below a key."""
    return (f"  {line}" for line in lines)


def value(content: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(content, default_flow_style=True, allow_unicode=True, width=1 << 30)
    return text.removesuffix("\n").removesuffix("\n...")


def once_through(tasks: Sequence[Task], batch_size: int) -> int:
    """Return the steps that go once through the examples of the smallest task."""
    return -(-min(len(task["train"]) for task in tasks) // batch_size)


def _encoded(encoder: Encoder, task: Task) -> Iterator[Encoded]:
    for split in SPLITS:
        for example in task[split]:
            encoded = encode_example(encoder, task, example, example.targets[0])
            assert encoded is not None, "there is no limit"
            yield encoded


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _relative(place: str, base: Path) -> str:
    """Return a path as it reads from the study file; a name on the hub is none."""
    path = expanded(place)
    return place if path.is_absolute() or not path.exists() else os.path.relpath(path.resolve(), base)
