"""How much a model reads and writes to answer, counted without asking it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cotune.answering._config import ChoiceConfig, InContextConfig
from cotune.answering._prompts import TaskPrompts
from cotune.models import Encoded
from cotune.tasks import Example, Task, get_metric

if TYPE_CHECKING:
    from cotune.models import LanguageModel

_SAMPLE = 16
"""Prompts of a task and number of shots whose tokens are counted; the rest is taken to be like them."""


class Asked(NamedTuple):
    """What questions come to.

    Attributes
    ----------
    times : float
        How often questions are put together.
    read : float
        Tokens read, what neighbours share counted once.
    written : float
        Passes that write a token of every answer they hold; answers are taken to be as long as right ones.
    """

    times: float
    read: float
    written: float

    def of(self, share: float) -> Asked:
        """Return so many times as many questions, put together as often."""
        return Asked(self.times, share * self.read, share * self.written)

    def repeated(self, times: int) -> Asked:
        """Put the same questions so many times."""
        return Asked(times * self.times, times * self.read, times * self.written)

    def plus(self, other: Asked) -> Asked:
        """Add other questions."""
        return Asked(self.times + other.times, self.read + other.read, self.written + other.written)


NOT_ASKED = Asked(0, 0, 0)


def count_answers(
    model: LanguageModel, task: Task, asked: Sequence[tuple[Example, Encoded]], config: ChoiceConfig
) -> Asked:
    """Count what it takes to score examples of a task, each encoded with its first target.

    Parameters
    ----------
    model : LanguageModel
        Says what neighbours share.
    task : Task
        Its metric decides whether the model reads targets or choices, or writes.
    asked : sequence of (Example, Encoded)
        The examples, as they are put.
    config : ChoiceConfig
        How choices are taken.
    """
    from cotune.models.counting import read_tokens, written_passes

    if get_metric(task.metric).needs == "likelihood":
        return Asked(1, read_tokens(model, [encoded for _, encoded in asked]), 0)
    ranks = config.classification == "likelihood"
    closed = [(example, encoded) for example, encoded in asked if ranks and example.choices]
    written = [encoded for example, encoded in asked if not (ranks and example.choices)]
    # What the choices of an example have in common is its prompt; each is as long as the right one, about.
    choices = sum((len(example.choices) - 1) * len(encoded.target) for example, encoded in closed)
    read = read_tokens(model, [encoded for _, encoded in closed]) + choices
    return Asked(1, read + read_tokens(model, written, by_length=True), written_passes(model, written))


def count_in_context(
    model: LanguageModel, tasks: Sequence[Task], config: InContextConfig, *, seed: int
) -> Asked:
    """Count what it takes to evaluate tasks in context, by a few prompts of each number of shots.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and limits.
    tasks : sequence of Task
        What it is put to.
    config : InContextConfig
        How.
    seed : int
        Of the demonstrations.
    """
    total = NOT_ASKED
    few = config.model_copy(update={"draws": 1, "max_examples": min(config.max_examples or _SAMPLE, _SAMPLE)})
    for task in tasks:
        prompts = TaskPrompts(task, few, model.encoder, seed=seed, context=model.context)
        share = len(task[config.split][: config.max_examples]) / len(task[config.split][: few.max_examples])
        for shots, draw in prompts.draws:
            pairs = list(zip(prompts.examples, prompts.scored(shots, draw), strict=True))
            once = count_answers(model, task, pairs, config).of(share)
            total = total.plus(once.repeated(config.draws if shots else 1))
    return total
