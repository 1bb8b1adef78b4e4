"""Writing text: batched generation by transformers, with an end wherever an answer ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import StoppingCriteria, StoppingCriteriaList

from cotune.models.encoding import Encoded, Encoder

if TYPE_CHECKING:
    from cotune.models._language_model import LanguageModel


def stands_complete(text: str, stops: Sequence[str]) -> bool:
    """Return whether a text holds one of the strings that end an answer, opening blanks apart."""
    begun = text.lstrip()
    return any(stop in begun for stop in stops)


class _Stops(StoppingCriteria):  # type: ignore[misc]
    """Ends every row whose text holds a stop, so that no more is computed than is kept."""

    def __init__(self, encoder: Encoder, stops: Sequence[str], skip: int) -> None:
        self.encoder = encoder
        self.stops = stops
        self.skip = skip

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        texts = self.encoder.tokenizer.batch_decode(input_ids[:, self.skip :], skip_special_tokens=True)
        done = [stands_complete(text, self.stops) for text in texts]
        return torch.tensor(done, device=input_ids.device)


def generate_padded(
    model: LanguageModel,
    module: nn.Module,
    prompts: Sequence[Encoded],
    *,
    max_new_tokens: int,
    num_beams: int,
    stops: Sequence[str],
) -> list[list[int]]:
    """Complete one batch of prompts, padded to one length.

    Parameters
    ----------
    model : LanguageModel
        The model.
    module : Module
        Its base, or its base under an adapter.
    prompts : sequence of Encoded
        Their targets are not looked at.
    max_new_tokens : int
        The most tokens written.
    num_beams : int
        Width of the beam search, 1 for greedy.
    stops : sequence of str
        A greedy row ends where it holds one of these; beams, whose ranking needs their ends, do not.

    Returns
    -------
    list of list of int
        The tokens written.
    """
    width = max(len(prompt.prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), model.pad_token, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, encoded in enumerate(prompts):
        prompt = torch.tensor(encoded.prompt)
        # Padding stands on the left, so that generation goes on where the prompt ends.
        at = slice(0, len(prompt)) if model.seq2seq else slice(width - len(prompt), width)
        ids[row, at] = prompt
        mask[row, at] = 1
    skip = 1 if model.seq2seq else width
    criteria = [_Stops(model.encoder, stops, skip)] if stops and num_beams == 1 else []
    out = module.generate(  # type: ignore[operator]
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=max_new_tokens,
        num_beams=num_beams,
        use_cache=True,
        stopping_criteria=StoppingCriteriaList(criteria),
    )
    written: list[list[int]] = out[:, skip:].tolist()
    return written
