"""Margins of answers and their gradients: what a first-order estimate of training needs to know of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from cotune.answering import LabelScore, label_weight
from cotune.models import Encoded

_LEAST_LOSS = 1e-6
"""A smaller loss is rounding, and its margin would grow without bound."""

Gradients: TypeAlias = Callable[[Sequence[Encoded]], tuple[NDArray[np.float64], NDArray[np.float32]]]
"""Gives encoded examples' mean losses per target token (n,) and the projected gradients of these (n, d)."""


@dataclass(frozen=True, slots=True)
class Question:
    """An example with the answers that its margin compares.

    Parameters
    ----------
    answers : tuple of Encoded
        The target alone, or the example with each of its choices.
    right : tuple of bool
        Which of several answers are right: some, but not all.
    """

    answers: tuple[Encoded, ...]
    right: tuple[bool, ...] = (True,)


def margins(
    questions: Sequence[Question], gradients: Gradients, *, label_score: LabelScore
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute ``h = log(p / (1 - p))`` of every question's answer, and its gradient by the chain rule.

    With L the mean loss per target token, p is ``exp(-L)``, the geometric mean of the target tokens'
    probabilities, where there is one answer; the logistic loss of h is then L itself. Where there are
    several, p is the share of the right ones in the sum of ``exp(-L)``, with L the loss of the whole choice
    or by the token: choices are compared as they are in scoring.

    Parameters
    ----------
    questions : sequence of Question
    gradients : callable
        Of losses of encoded examples; all answers are asked for at once.
    label_score : {"sum", "mean"}
        See :class:`cotune.answering.ChoiceConfig`.

    Returns
    -------
    margins : ndarray of float32, shape (n,)
    gradients : ndarray of float32, shape (n, d)
    """
    losses, slopes = gradients([answer for question in questions for answer in question.answers])
    sizes = [len(question.answers) for question in questions]
    starts = np.cumsum([0, *sizes[:-1]])
    values = np.empty(len(questions), dtype=np.float32)
    rows = np.empty((len(questions), slopes.shape[1]), dtype=np.float32)
    for at, (question, start, size) in enumerate(zip(questions, starts, sizes, strict=True)):
        own = slice(start, start + size)
        if size == 1:
            values[at], by_loss = _of_target(losses[own])
        else:
            weights = np.array([label_weight(answer, label_score) for answer in question.answers])
            values[at], by_loss = _of_choices(weights * losses[own], np.array(question.right))
            by_loss *= weights
        rows[at] = by_loss @ slopes[own]
    return values, rows


def _of_target(loss: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the margin of a single answer and its derivative in the loss."""
    kept = np.maximum(loss, _LEAST_LOSS)
    complement = -np.expm1(-kept)
    return float((-kept - np.log(complement))[0]), -1.0 / complement


def _of_choices(losses: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Return the margin of the right answers against the wrong ones and its derivative in each loss."""
    by_loss = np.empty(len(losses))
    by_loss[right] = -softmax(-losses[right])
    by_loss[~right] = softmax(-losses[~right])
    return float(logsumexp(-losses[right]) - logsumexp(-losses[~right])), by_loss
