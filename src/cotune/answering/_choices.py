"""Ranking a closed set of answers by their likelihood; the one place that does it.

The answer is the choice of the highest log-likelihood, summed over its tokens: the probability that the model
writes it. The mean over tokens (``label_score: mean``) favours long choices whose last tokens follow from the
first, such as "not entailment" beside "entailment".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from cotune.models import Encoded

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel


LabelScore = Literal["sum", "mean"]


def encode_choices(encode: Callable[[str], Encoded], choices: Sequence[str]) -> list[Encoded]:
    """Encode a prompt with each of its choices, to be compared.

    The end of the sequence is left out: in context an answer is followed by whatever follows it there. Where
    one choice begins another, "good" and "good enough", only the end tells them apart, and it counts.

    Parameters
    ----------
    encode : callable
        Encodes the prompt with a choice.
    choices : sequence of str
        The closed set of answers.
    """
    closed = [encode(choice) for choice in choices]
    bare = [replace(one, target=one.target[: -one.n_end]) for one in closed]
    pairs = permutations([one.target for one in bare], 2)
    return closed if any(other[: len(one)] == one for one, other in pairs) else bare


def label_weight(option: Encoded, label_score: LabelScore) -> int:
    """Return what the mean log-likelihood of a choice's tokens is multiplied with to compare it."""
    return len(option.target) if label_score == "sum" else 1


def choice_scores(
    model: LanguageModel,
    module: nn.Module,
    options: Sequence[Sequence[Encoded]],
    label_score: LabelScore,
    batch_tokens: int | None = None,
) -> list[NDArray[np.float64]]:
    """Score every choice of every example; the highest is the answer.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base of the module.
    module : Module
        The base model, or the base model under an adapter.
    options : sequence of sequences of Encoded
        By example its prompt with each of its choices, from :func:`encode_choices`.
    label_score : {"sum", "mean"}
        See :class:`ChoiceConfig`.
    batch_tokens : int, optional
        About how many tokens one forward pass holds.

    Returns
    -------
    list of ndarray of shape (n_choices,)
        Log-likelihoods in nats, of the whole choice or by the token.
    """
    flat = [option for of_example in options for option in of_example]
    scores = -model.nll(module, flat, batch_tokens=batch_tokens)
    scores *= [label_weight(option, label_score) for option in flat]
    return np.split(scores, np.cumsum([len(of_example) for of_example in options])[:-1])
