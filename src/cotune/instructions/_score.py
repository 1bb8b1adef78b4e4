"""Scores: what an instruction makes of the targets of held-out training examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
from scipy.special import logsumexp

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
        Mean over examples of the log of the right choices' share in the likelihoods by the token of all
        choices, where an example has choices, else of the target's log-likelihood by the token, in nats; or
        share of the examples whose likeliest choice by the token is right.

    Returns
    -------
    float
        Higher is better.

    Raises
    ------
    InputError
        If accuracy is asked for and an example has no choices, or an answer is too long.
    """
    if by == "accuracy" and not all(example.choices for example in examples):
        raise InputError(
            f"The task {task.name} has examples without choices, so instructions are scored by likelihood."
        )
    answers = [example.choices or example.targets[:1] for example in examples]
    asked = [
        _encoded(model, task, instruction, example, answer)
        for example, of_example in zip(examples, answers, strict=True)
        for answer in of_example
    ]
    losses = iter(model.nll(model.base, asked))
    return float(
        np.mean(
            [
                _value({answer: next(losses) for answer in of_example}, example.targets, by)
                for example, of_example in zip(examples, answers, strict=True)
            ]
        )
    )


def _value(losses: Mapping[str, float], right: Sequence[str], by: Literal["likelihood", "accuracy"]) -> float:
    """Score one example by the losses of its answers."""
    if by == "accuracy":
        return float(min(losses, key=lambda answer: losses[answer]) in right)
    if len(losses) == 1:
        return -next(iter(losses.values()))
    # How ready a model is to give any of the answers says nothing about the instruction.
    every = logsumexp([-loss for loss in losses.values()])
    return float(logsumexp([-loss for answer, loss in losses.items() if answer in right]) - every)


def _encoded(model: LanguageModel, task: Task, instruction: str, example: Example, target: str) -> Encoded:
    render = partial(format_prompt, instruction, choices=example.choices, format=task.format)
    encoded = model.encoder.encode(render, example.input, format_target(target))
    if encoded is None:
        raise InputError(
            f"The task {task.name} has a target of more than {model.encoder.max_target_tokens} tokens: "
            f"{target[:40]!r}..."
        )
    return encoded
