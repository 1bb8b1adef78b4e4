"""Writing text: batched generation by transformers, with an end wherever an answer ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from cotune.models._frozen import FrozenModel
from cotune.models.batching import shared_prefix
from cotune.models.encoding import Encoded, Encoder
from cotune.models.sampling import Perturbed, Sampler
from cotune.models.shared_row import SharedRow
from cotune.models.special_tokens import first_written

_SHARED = -1
"""Owner of the columns that all lines see."""


def greedy_config(model: FrozenModel) -> GenerationConfig:
    """Greedy decoding, without the penalties and samplers that checkpoints bring along for chats."""
    theirs = model.base.generation_config
    ends = theirs.eos_token_id if isinstance(theirs.eos_token_id, list) else [theirs.eos_token_id]
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        bos_token_id=theirs.bos_token_id,
        # What closes a target in training has to end an answer, whatever ended one before.
        eos_token_id=sorted(model.encoder.end_tokens | {end for end in ends if end is not None}),
        pad_token_id=model.pad_token,
        decoder_start_token_id=model.start_token,
        forced_bos_token_id=first_written(model.base, model.encoder),
    )


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


def generate_batches(
    model: FrozenModel,
    module: nn.Module,
    prompts: Sequence[Encoded],
    *,
    max_new_tokens: int,
    num_beams: int,
    stops: Sequence[str],
    batch_tokens: int,
    share: bool,
    sampler: Sampler | None = None,
) -> list[list[int]]:
    """Complete prompts in batches of similar lengths.

    Parameters
    ----------
    model : FrozenModel
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
    batch_tokens : int
        About how many prompt tokens one batch may hold.
    share : bool
        Whether what all prompts begin with is read once for all batches and beams.
    sampler : Sampler, optional
        Draws the tokens, in place of taking the likeliest; not with beams.

    Returns
    -------
    list of list of int
        The tokens written.
    """
    n_prefix = shared_prefix([encoded.prompt for encoded in prompts]) if share else 0
    shared = SharedRow(model, module, prompts[0].prompt[:n_prefix]) if n_prefix else None
    written: list[list[int]] = [[] for _ in prompts]
    for indices in model.chunks(prompts, batch_tokens, by_length=True):
        batch = [prompts[index].prompt for index in indices]
        ids, mask = _pad(model, batch, n_prefix)
        skip = 1 if model.seq2seq else ids.shape[1]
        criteria = [_Stops(model.encoder, stops, skip)] if stops and num_beams == 1 else []
        drawn = [Perturbed(sampler, indices)] if sampler is not None else []
        past = {} if shared is None else {"past_key_values": shared.repeated(len(batch) * num_beams)}
        out = module.generate(  # type: ignore[operator]
            **_read(model, [prompts[index] for index in indices], ids, mask),
            attention_mask=mask.to(model.device),
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            use_cache=model.caches(num_beams),
            stopping_criteria=StoppingCriteriaList(criteria),
            logits_processor=LogitsProcessorList(drawn),
            **past,
        )
        for index, tokens in zip(indices, out[:, skip:].tolist(), strict=True):
            written[index] = tokens
    return written


def _pad(
    model: FrozenModel, prompts: Sequence[Sequence[int]], n_prefix: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad prompts to one length behind their common prefix; return the ids and a mask of the prompts."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), model.pad_token, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        # An encoder reads from the left; a decoder has to go on where the prompt ends.
        own = slice(n_prefix, len(prompt)) if model.seq2seq else slice(width - len(prompt) + n_prefix, width)
        for at, tokens in ((slice(0, n_prefix), prompt[:n_prefix]), (own, prompt[n_prefix:])):
            ids[row, at] = torch.tensor(tokens, dtype=torch.long)
            mask[row, at] = 1
    return ids, mask


def _read(
    model: FrozenModel, prompts: Sequence[Encoded], ids: torch.Tensor, mask: torch.Tensor
) -> dict[str, Any]:
    """Return what is generated from: tokens, or what an encoder made of them where that is kept."""
    if not (model.seq2seq and model.below is not None):
        return {"input_ids": ids.to(model.device)}
    owner = torch.where(mask > 0, torch.arange(len(prompts))[:, None], -1)
    states = model.below.states(prompts, owner, torch.arange(ids.shape[1]).expand_as(ids))
    return {"encoder_outputs": BaseModelOutput(last_hidden_state=states.to(model.device))}


@dataclass(slots=True)
class _Line:
    """A completion in progress."""

    index: int
    pending: list[int]
    n_read: int
    written: list[int] = field(default_factory=list)


class RowDecoder:
    """Completes prompts in one row that they share, greedily or by draws; see SharedRow.

    A step reads what every line has pending: its prompt behind the shared prefix at first, then the token it
    has just written. A line that ends makes room for the next prompt at once.

    Parameters
    ----------
    model : FrozenModel
        A decoder-only model for which packing is exact.
    module : Module
        Its base, or its base under an adapter.
    max_new_tokens : int
        The most tokens of a completion.
    stops : sequence of str
        A completion ends where it holds one of these.
    batch_tokens : int
        About how many columns beside the prefix the row may have.
    sampler : Sampler, optional
        Draws the tokens, in place of taking the likeliest.
    """

    def __init__(
        self,
        model: FrozenModel,
        module: nn.Module,
        *,
        max_new_tokens: int,
        stops: Sequence[str],
        batch_tokens: int,
        sampler: Sampler | None = None,
    ) -> None:
        self._model = model
        self._sampler = sampler
        self._module = module
        self._max_new_tokens = max_new_tokens
        self._stops = stops
        self._batch_tokens = batch_tokens
        self._ends = set(model.base.generation_config.eos_token_id)

    def generate(self, prompts: Sequence[Encoded]) -> list[list[int]]:
        """Return the tokens written after every prompt."""
        n_prefix = shared_prefix([encoded.prompt for encoded in prompts])
        self._row = SharedRow(self._model, self._module, prompts[0].prompt[:n_prefix])
        self._owners = torch.full((n_prefix,), _SHARED)
        waiting = deque(
            _Line(index, list(encoded.prompt[n_prefix:]), n_prefix) for index, encoded in enumerate(prompts)
        )
        written: list[list[int]] = [[] for _ in prompts]
        active: list[_Line] = []
        while waiting or active:
            self._admit(waiting, active)
            self._step(active)
            for line in active:
                written[line.index] = line.written
            active = [line for line in active if not self._ended(line)]
            self._forget({line.index for line in active})
        return written

    def _admit(self, waiting: deque[_Line], active: list[_Line]) -> None:
        """Take up prompts while there is room, a part at a time so that attention stays small."""
        fresh = 0
        held = len(self._owners) - self._row.n_prefix + len(active)
        while waiting:
            size = len(waiting[0].pending)
            if active and (held + size > self._batch_tokens or fresh + size > self._batch_tokens // 4):
                break
            active.append(waiting.popleft())
            fresh += size
            held += size

    def _step(self, active: Sequence[_Line]) -> None:
        tokens = [token for line in active for token in line.pending]
        positions = [line.n_read + at for line in active for at in range(len(line.pending))]
        sizes = torch.tensor([len(line.pending) for line in active])
        new = torch.repeat_interleave(torch.tensor([line.index for line in active]), sizes)
        past = (self._owners == new[:, None]) | (self._owners == _SHARED)
        own = (new == new[:, None]).tril()
        logits = self._row.read(
            tokens, positions, torch.cat([past, own], dim=1), (sizes.cumsum(0) - 1).tolist()
        )
        self._owners = torch.cat([self._owners, new])
        if self._sampler is not None:
            logits = self._sampler.perturb(logits, [line.index for line in active])
        for line, token in zip(active, logits.argmax(-1).tolist(), strict=True):
            line.n_read += len(line.pending)
            line.pending = [token]
            line.written.append(token)

    def _ended(self, line: _Line) -> bool:
        if line.written[-1] in self._ends or len(line.written) >= self._max_new_tokens:
            return True
        if not self._stops:
            return False
        text = self._model.tokenizer.decode(line.written, skip_special_tokens=True)
        return stands_complete(text, self._stops)

    def _forget(self, alive: set[int]) -> None:
        """Drop the columns of ended lines once they are a third of the row."""
        kept = torch.isin(self._owners, torch.tensor([_SHARED, *alive]))
        if 3 * int(kept.sum()) <= 2 * len(kept):
            self._row.keep(kept.nonzero()[:, 0].to(self._model.device))
            self._owners = self._owners[kept]
