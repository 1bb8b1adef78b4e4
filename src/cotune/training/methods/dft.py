"""Dynamic fine-tuning (Wu et al. 2025, arXiv 2508.05629): a token counts by how likely the model has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cotune.training.methods._method import Attached, Terms
from cotune.training.methods._weights import WeightsMethod

if TYPE_CHECKING:
    from torch import Tensor

    from cotune.models import LanguageModel


class Dft(WeightsMethod):
    """The loss of every target token is multiplied by its own probability, through which no gradient goes.

    With -log p as a token's loss, its gradient is p times that of ordinary fine-tuning: a token the model
    finds impossible moves it by nothing. The losses of a run that are told are those without the factor.
    """

    def around(self, model: LanguageModel, attached: Attached) -> Attached:
        """Return what is trained with the factors."""
        return replace(attached, terms=Terms(token_factors=probabilities))


def probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the probability of every label."""
    return logits.log_softmax(-1).gather(-1, labels[:, None])[:, 0].exp()
