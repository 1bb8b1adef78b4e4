"""Scores: what an instruction makes of the targets of held-out training examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from cotune.answering import ChoiceConfig, choice_scores, encode_choices, encode_fitting
from cotune.exceptions import InputError
from cotune.models import LanguageModel
from cotune.tasks import Example, Task


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
        Mean over examples of the log of the right choices' share in the likelihoods of all choices, where an
        example has choices, else of the target's log-likelihood by the token, in nats; or share of the
        examples whose likeliest choice is right.

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
    asked = replace(task, instruction=instruction)
    closed = [example for example in examples if example.choices]
    options = [
        encode_choices(partial(encode_fitting, model.encoder, asked, example), example.choices)
        for example in closed
    ]
    scores = choice_scores(model, model.base, options, ChoiceConfig().label_score) if closed else []
    values = [_of_choices(of, example, by) for of, example in zip(scores, closed, strict=True)]
    free = [e for e in examples if not e.choices]
    values += (
        -model.nll(model.base, [encode_fitting(model.encoder, asked, e, e.targets[0]) for e in free])
    ).tolist()
    return float(np.mean(values))


def _of_choices(
    scores: NDArray[np.float64], example: Example, by: Literal["likelihood", "accuracy"]
) -> float:
    """Score one example by the log-likelihoods of its choices."""
    right = np.array([choice in example.targets for choice in example.choices])
    if by == "accuracy":
        return float(right[int(np.argmax(scores))])
    # How ready a model is to give any of the answers says nothing about the instruction.
    return float(logsumexp(scores[right]) - logsumexp(scores))
