"""Ranking a closed set of answers by their likelihood; the one place that does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from cotune.models import Encoded

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel


def choice_scores(
    model: LanguageModel,
    module: nn.Module,
    options: Sequence[Sequence[Encoded]],
    label_score: Literal["mean", "sum"],
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
        By example its prompt with each of its choices, without the end of the sequence.
    label_score : {"mean", "sum"}
        See :class:`ChoiceConfig`.
    batch_tokens : int, optional
        About how many tokens one forward pass holds.

    Returns
    -------
    list of ndarray of shape (n_choices,)
        Log-likelihoods in nats, by the token or of the whole choice.
    """
    flat = [option for of_example in options for option in of_example]
    scores = -model.nll(module, flat, batch_tokens=batch_tokens)
    if label_score == "sum":
        scores *= [len(option.target) for option in flat]
    return np.split(scores, np.cumsum([len(of_example) for of_example in options])[:-1])
