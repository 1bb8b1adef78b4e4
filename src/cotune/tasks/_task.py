from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

from cotune._repr import Brief
from cotune.exceptions import InputError

SPLITS = ("train", "validation", "test")


class Turn(NamedTuple):
    """What one side of a conversation says."""

    role: Literal["system", "user", "assistant"]
    """Whose turn it is."""
    text: str
    """What is said."""


@dataclass(frozen=True, slots=True)
class Example(Brief):
    """One input with its acceptable outputs.

    Parameters
    ----------
    input : str
        What the model reads, without the task's instruction.
    targets : tuple of str
        The acceptable outputs, best first; training uses the first.
    choices : tuple of str
        The closed set of answers of a classification example, empty for free text.
    turns : tuple of Turn
        What was said before the answer, where that is more than a question: a system text of the example's
        own, earlier questions and answers, and last a question. A chat format reads these; ``input`` is the
        same as one text.

    Examples
    --------
    >>> cotune.Example("Bolivia", ("Sucre", "La Paz")).targets
    ('Sucre', 'La Paz')
    """

    input: str
    targets: tuple[str, ...]
    choices: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Task(Brief):
    """A named task: an instruction and its examples by split.

    Parameters
    ----------
    name : str
        Unique within a study.
    instruction : str
        What every prompt of the task opens with; may be empty.
    splits : mapping of str to tuple of Example
        Examples under ``"train"``, ``"validation"`` and ``"test"``, disjoint.
    metric : str
        The name of the task's metric, a key of :data:`cotune.tasks.METRICS`.
    category : str
        The family the task's author put it in; never used for grouping, only to compare with.
    notes : tuple of str
        One sentence for everything that was cut or dropped while reading.
    format : str
        The name of the prompts' format, a key of :data:`cotune.tasks.FORMATS`.
    why_metric : str
        Why it is scored by this metric, in words.
    stops : tuple of str, optional
        The strings before which an answer ends; by default :func:`cotune.tasks.stops_of` tells them from the
        format and the answers.
    left_out : mapping of str to int
        How many examples the data have in each split beyond those that were asked for.
    rows : str
        Name of the rows that test examples were filled in from, where several tasks have the same under other
        templates; their scores are of the same cases.

    Examples
    --------
    >>> example = cotune.Example("France", ("Paris",))
    >>> splits = {"train": (example,), "validation": (), "test": ()}
    >>> task = cotune.Task("capitals", "Name the capital.", splits, metric="exact_match")
    >>> task["train"][0].input
    'France'
    """

    name: str
    instruction: str
    splits: Mapping[str, tuple[Example, ...]]
    metric: str = "rouge_l"
    category: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)
    format: str = "default"
    stops: tuple[str, ...] | None = None
    why_metric: str = field(default="", compare=False)
    left_out: Mapping[str, int] = field(default_factory=dict, compare=False)
    rows: str = field(default="", compare=False)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield from (("", self.name), ("", self.instruction))
        yield from (("metric", self.metric), ("format", self.format))
        yield from ((split, len(examples)) for split, examples in self.splits.items())

    def __getitem__(self, split: str) -> tuple[Example, ...]:
        """Return the examples of a split."""
        return self.splits[split]

    def answers_hold(self, text: str) -> bool:
        """Return whether a target or choice of any split, as it follows a prompt, would end at a text.

        Outer blanks of an answer do not hold a text of blanks, since they are dropped.
        """
        if text not in self._held:
            self._held[text] = any(
                text in (answer.strip() if text.isspace() else f" {answer}")
                for examples in self.splits.values()
                for example in examples
                for answer in (*example.targets, *example.choices)
            )
        return self._held[text]

    @property
    def without_turns(self) -> Task:
        """The task as models read it that read text: who said what is in the inputs alone."""
        if not any(example.turns for examples in self.splits.values() for example in examples):
            return self
        splits = {
            split: tuple(replace(example, turns=()) for example in examples)
            for split, examples in self.splits.items()
        }
        return replace(self, splits=splits)

    @cached_property
    def _held(self) -> dict[str, bool]:
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that a run can see of the task (sha256, hex)."""
        content: dict[str, Any] = {
            "name": self.name,
            "instruction": self.instruction,
            "metric": self.metric,
            "format": self.format,
            "splits": {
                split: [
                    [e.input, list(e.targets), list(e.choices), *([e.turns] if e.turns else [])]
                    for e in examples
                ]
                for split, examples in sorted(self.splits.items())
            },
        }
        # Tasks that leave it to the format keep the fingerprint, and so the runs, of before there were any.
        if self.stops is not None:
            content["stops"] = list(self.stops)
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def check_tasks(tasks: Iterable[Task]) -> None:
    """Check that tasks can be studied together, whichever readers they come from.

    Raises
    ------
    InputError
        If two tasks have one name.
    """
    seen: set[str] = set()
    for task in tasks:
        if task.name in seen:
            raise InputError(
                f"Two tasks are named '{task.name}', and every task of a study needs a name of its own: "
                "exclude one of them or give it another name."
            )
        seen.add(task.name)
