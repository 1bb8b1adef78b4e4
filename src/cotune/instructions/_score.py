"""Scores: what an instruction makes of the targets of held-out training examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np

from cotune.exceptions import InputError
from cotune.models import Encoded, LanguageModel
from cotune.tasks import Example, Task, format_prompt, format_target


def score_instruction(
    model: LanguageModel,
    task: Task,
    instruction: str,
    examples: Sequence[Example],
    by: Literal["likelihood", "accuracy"],
) -> float:
    """Score an instruction on examples of a task.

    Parameters
    ----------
    model : LanguageModel
        Scores.
    task : Task
        Gives the format of the prompts.
    instruction : str
        Stands in place of the task's; may be empty.
    examples : sequence of Example
        The same for all instructions that are compared.
    by : {"likelihood", "accuracy"}
        Mean over examples of the target's log-likelihood by the token in nats, or share of the examples
        whose likeliest choice by the token is right.

    Returns
    -------
    float
        Higher is better.

    Raises
    ------
    InputError
        If accuracy is asked for and an example has no choices, or an answer is too long.
    """
    if by == "likelihood":
        encoded = [_encoded(model, task, instruction, e, e.targets[0]) for e in examples]
        return -float(np.mean(model.nll(model.base, encoded)))
    if not all(example.choices for example in examples):
        raise InputError(
            f"The task {task.name} has examples without choices, so instructions are scored by likelihood."
        )
    asked = [_encoded(model, task, instruction, e, choice) for e in examples for choice in e.choices]
    losses = iter(model.nll(model.base, asked))
    right = [min((next(losses), choice) for choice in e.choices)[1] in e.targets for e in examples]
    return float(np.mean(right))


def _encoded(model: LanguageModel, task: Task, instruction: str, example: Example, target: str) -> Encoded:
    render = partial(format_prompt, instruction, choices=example.choices, format=task.format)
    encoded = model.encoder.encode(render, example.input, format_target(target))
    if encoded is None:
        raise InputError(
            f"The task {task.name} has a target of more than {model.encoder.max_target_tokens} tokens: "
            f"{target[:40]!r}..."
        )
    return encoded
