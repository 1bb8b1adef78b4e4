"""Staying near the base: the divergence from its next-token distribution on other prompts is a loss."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cotune.training.methods._method import Attached, Terms
from cotune.training.methods._weights import OthersMethod

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cotune.models import LanguageModel
    from cotune.models.batching import Batch


class KlToBase(OthersMethod):
    """Beside the targets' loss stands KL(base || tuned) of the next token, over the target tokens of others.

    Of a window of text these are its tokens, of another task's example those of the right answer, which tells
    where predictions are compared and is not learned itself. The base is the model under its adapter, or lies
    beside the weights that are tuned: no second copy of it is held. A step costs one more pass, without
    gradients, over what stands beside the targets.
    """

    def around(self, model: LanguageModel, attached: Attached) -> Attached:
        """Return what is trained with the divergence in the place of what is replayed."""

        def divergence(module: nn.Module, batch: Batch) -> Tensor:
            assert attached.as_base is not None, "full and lora know the base"
            with attached.as_base():
                before = model.target_logits(module, batch).float().log_softmax(-1)
            after = model.target_logits(module, batch).float().log_softmax(-1)
            return (before.exp() * (before - after)).sum(-1)

        return replace(attached, terms=Terms(replay_losses=divergence))
