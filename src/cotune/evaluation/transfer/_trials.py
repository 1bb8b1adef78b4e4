"""What a fine-tuning is made of: examples that are nested within a draw, and what marks the task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cotune._repr import Brief
from cotune.answering import InContextConfig, encode_fitting
from cotune.evaluation.transfer._config import TransferConfig
from cotune.exceptions import InputError
from cotune.models import Encoded, Encoder
from cotune.tasks import Example, Task, draw_demonstrations


@dataclass(frozen=True, slots=True)
class Marking:
    """What tells the model which task it is.

    Parameters
    ----------
    opening : callable
        Gives what every prompt of a task opens with.
    shows_exemplars : bool
        Whether solved examples stand before every input.
    """

    opening: Callable[[Task], str]
    shows_exemplars: bool


def task_id(task: Task) -> str:
    """Return a word that names a task and says nothing about it."""
    return f"<task-{hashlib.sha256(task.name.encode()).hexdigest()[:6]}>"


MARKINGS: dict[str, Marking] = {
    "id": Marking(task_id, shows_exemplars=False),
    "exemplars": Marking(lambda task: "", shows_exemplars=True),
    "instruction": Marking(lambda task: task.instruction, shows_exemplars=False),
}
"""The values of ``TransferConfig.marking``."""


@dataclass(frozen=True)
class Trial(Brief):
    """One draw of a task's examples.

    Parameters
    ----------
    task : Task
        The task as it is marked; where exemplars are shown, its training split holds what they are drawn
        from.
    draw : int
        Number of the draw.
    examples : tuple of Example
        All that a fine-tuning may see; one on n examples sees the first n.
    exemplars : tuple of Example
        Solved examples before every input.
    """

    task: Task
    draw: int
    examples: tuple[Example, ...]
    exemplars: tuple[Example, ...] = ()

    def encoded(self, encoder: Encoder) -> list[Encoded]:
        """Encode the examples with their targets.

        Raises
        ------
        InputError
            If one does not fit; names the task.
        """
        return [
            encode_fitting(encoder, self.task, example, example.targets[0], self.exemplars)
            for example in self.examples
        ]


def draw_trials(
    task: Task, config: TransferConfig, in_context: InContextConfig, *, seed: int
) -> Iterator[Trial]:
    """Draw the examples that a task is fine-tuned on.

    Under one seed draw d holds the demonstrations that draw d of an in-context evaluation shows to all its
    examples, in the same order: four shots and four examples to fine-tune on are the same four.

    Parameters
    ----------
    task : Task
        Its training split is drawn from.
    config : TransferConfig
        How many, how often, and how the task is marked.
    in_context : InContextConfig
        Which examples are evaluated: none of them is drawn.
    seed : int
        Not negative.

    Raises
    ------
    InputError
        If the task has too few training examples; names it.
    """
    marking = MARKINGS[config.marking]
    asked = frozenset(e.input for e in task[in_context.split][: in_context.max_examples])
    wanted = config.most + (config.exemplars if marking.shows_exemplars else 0)
    there = sum(example.input not in asked for example in task["train"])
    if there < wanted:
        raise InputError(
            f"Task {task.name} has {there} training examples that are not evaluated, fewer than the {wanted} "
            "that transfer takes for fine-tuning and exemplars; give it more or ask for fewer."
        )
    marked = replace(task, instruction=marking.opening(task))
    for draw in range(config.draws):
        examples = draw_demonstrations(task, config.most, seed=seed, draw=(draw,), exclude=asked)
        if not marking.shows_exemplars:
            yield Trial(marked, draw, examples)
            continue
        seen = {example.input for example in examples}
        rest = tuple(e for e in task["train"] if e.input not in seen and e.input not in asked)
        of_draw = replace(marked, splits={**task.splits, "train": rest})
        # Drawn as the evaluation draws them, so that training and evaluation show the same.
        shown = draw_demonstrations(of_draw, config.exemplars, seed=seed, draw=(0,), exclude=asked)
        yield Trial(of_draw, draw, examples, shown)
