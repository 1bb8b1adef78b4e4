from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cotune.models.batching import Batch, Below, causal_batch, plan_rows, seq2seq_batch, shared_prefix
from cotune.models.encoding import Encoded, Encoder
from cotune.models.last_layer import Picked, asked_at, feed_forward
from cotune.models.special_tokens import check_end_tokens, padding_token, start_token

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class FrozenModel(ABC):
    """A pretrained model with its tokenizer, frozen: batches go in, the losses of target tokens come out.

    What generates, scores and tries a model is written against it; :class:`LanguageModel` puts them together.

    Parameters
    ----------
    base : PreTrainedModel
        The model; its parameters are frozen and it is put into evaluation mode.
    encoder : Encoder
        Its tokenizer with the limits of prompts and targets.
    computes_in : dtype, optional
        The type of its activations; by default that of its weights.

    Raises
    ------
    InputError
        If the model has no embedding of the token that ends answers, or its decoder begins with nothing.
    """

    pack = False
    """Whether examples with a common prefix share a row."""
    trims = False
    """Whether what the last layer feeds forward is computed only where it is asked for."""
    below: Below | None = None
    """What losses and likelihoods start from in place of the lower layers; see :meth:`starting_above`."""

    def __init__(
        self, base: PreTrainedModel, encoder: Encoder, computes_in: torch.dtype | None = None
    ) -> None:
        self.base = base.requires_grad_(False).eval()
        self.dtype = computes_in or base.dtype
        self.encoder = encoder
        self.tokenizer = encoder.tokenizer
        self.seq2seq = bool(base.config.is_encoder_decoder)
        encoder.vocabulary_size = self.vocabulary_size
        check_end_tokens(base, encoder, self.vocabulary_size)
        self.pad_token = padding_token(self.tokenizer, self.vocabulary_size)
        self.start_token = start_token(base, self.vocabulary_size) if self.seq2seq else None
        self.keeps_logits = "logits_to_keep" in inspect.signature(base.forward).parameters

    @abstractmethod
    def caches(self, num_beams: int) -> bool:
        """Whether generation goes on from what the model has computed, in place of reading all again."""

    @abstractmethod
    def pads(self, *, left: bool) -> bool:
        """Whether the model gives what it gives each example alone where padding stands on a side."""

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.base.parameters()).device
        return device

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens the model distinguishes."""
        return int(self.base.get_input_embeddings().weight.shape[0])

    def autocast(self) -> torch.autocast:
        """Compute in the type the model was loaded in while its weights are trained in a wider one."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.base.dtype != self.dtype)

    @property
    def batch_tokens(self) -> int:
        """About how many tokens a forward pass without gradients holds unless the caller says otherwise."""
        return 1024 if self.device.type == "cpu" else 16_384

    @property
    def row_tokens(self) -> int:
        """About how many columns of a shared row are read at once: attention grows with their square."""
        return 384 if self.device.type == "cpu" else 4096

    def batch(
        self,
        examples: Sequence[Encoded],
        *,
        max_row_tokens: int = 512,
        owners: Sequence[int] | None = None,
    ) -> Batch:
        """Put examples into one forward pass, neighbours with a common prefix (and owner) sharing a row."""
        batch = self.laid(examples, max_row_tokens=max_row_tokens, owners=owners)
        if self.below is not None:
            length = torch.arange(batch.owner.shape[1]).expand_as(batch.owner)
            place = batch.inputs.get("position_ids", length)
            batch = replace(batch, states=self.below.states(examples, batch.owner, place))
        return batch.to(self.device)

    def laid(
        self,
        examples: Sequence[Encoded],
        *,
        max_row_tokens: int = 512,
        owners: Sequence[int] | None = None,
    ) -> Batch:
        """Do the same for a pass that begins with tokens, on the CPU."""
        if self.seq2seq:
            assert self.start_token is not None
            return seq2seq_batch(examples, self.pad_token, self.start_token)
        rows = plan_rows(examples, pack=self.pack, max_tokens=max_row_tokens, owners=owners)
        return causal_batch(examples, rows, self.pad_token)

    @contextmanager
    def starting_above(self, below: Below | None) -> Iterator[None]:
        """Let losses and likelihoods start above a boundary, and what a decoder behind an encoder writes.

        What one without an encoder writes needs keys and values of all layers, and reads tokens as ever.
        """
        before, self.below = self.below, below
        try:
            yield
        finally:
            self.below = before

    def from_states(
        self, inputs: Mapping[str, Any], states: torch.Tensor | None
    ) -> AbstractContextManager[Mapping[str, Any]]:
        """Let passes start from states where there are any; give what they are called with."""
        if states is None:
            return nullcontext(inputs)
        assert self.below is not None
        return self.below.above(inputs, states)

    def target_losses(self, module: nn.Module, batch: Batch, *, label_smoothing: float = 0.0) -> torch.Tensor:
        """Negative log-likelihood of every target token of a batch.

        Parameters
        ----------
        module : Module
            The base model, or the base model under an adapter.
        batch : Batch
            From :meth:`batch`.
        label_smoothing : float
            Share of a target's probability that is spread over the vocabulary evenly; for training.

        Returns
        -------
        Tensor of shape (t,)
            Nats, in the order of ``batch.label``, in float32.
        """
        picked = self.target_logits(module, batch)
        return nn.functional.cross_entropy(
            picked.float(), batch.label, reduction="none", label_smoothing=label_smoothing
        )

    def target_logits(self, module: nn.Module, batch: Batch) -> torch.Tensor:
        """Logits over the vocabulary where each target token of a batch is predicted, of shape (t, v)."""
        few = {"logits_to_keep": batch.columns} if self.keeps_logits else {}
        picked = Picked(batch.row, batch.column if few else batch.columns[batch.column])
        with self.from_states(batch.inputs, batch.states) as inputs, self.asked(batch.columns, picked):
            return picked.of(module(**inputs, use_cache=False, **few).logits)

    @contextmanager
    def asked(self, columns: torch.Tensor, picked: Picked | None = None) -> Iterator[None]:
        """Let passes compute no more of the last layer than the logits of columns, or of tokens, take."""
        if not self.trims:
            yield
            return
        with (
            asked_at(self._last_parts, columns),
            nullcontext() if picked is None else picked.at(self.base),
        ):
            yield

    @contextmanager
    def trimming(self) -> Iterator[None]:
        """Compute no more of the last layer than is asked for, to try it."""
        before, self.trims = self.trims, True
        try:
            yield
        finally:
            self.trims = before

    @cached_property
    def _last_parts(self) -> list[nn.Module]:
        return feed_forward(self.base)

    def chunks(
        self, examples: Sequence[Encoded], batch_tokens: int, *, by_length: bool = False
    ) -> Iterator[list[int]]:
        """Split into batches of about ``batch_tokens`` tokens, keeping neighbours with a common prefix.

        Parameters
        ----------
        examples : sequence of Encoded
            What is batched.
        batch_tokens : int
            The longest times their number.
        by_length : bool
            Batches of prompts to generate from, the longest first; their targets do not count.

        Yields
        ------
        list of int
            Indices of the examples of a batch: of one length, where padding would change what a model says.
        """
        keep_order = self.pack and not by_length
        sizes = [(len(e.prompt), 0 if by_length else len(e.target)) for e in examples]
        if not self.seq2seq:
            sizes = [(sum(size), 0) for size in sizes]
        pads = len(set(sizes)) < 2 or self.pads(left=by_length)
        order = list(range(len(examples)))
        if not keep_order:
            order.sort(key=lambda i: (sum(sizes[i]), *([] if pads else sizes[i])), reverse=True)
        chunk: list[int] = []
        total = longest = 0
        for index in order:
            tokens = sum(sizes[index])
            if keep_order and chunk:
                grown = total + tokens - shared_prefix([examples[chunk[-1]].prompt, examples[index].prompt])
            else:
                grown = max(longest, tokens) * (len(chunk) + 1)
            if chunk and (grown > batch_tokens or not (pads or sizes[index] == sizes[chunk[0]])):
                yield chunk
                chunk, longest, grown = [], 0, tokens
            chunk.append(index)
            total, longest = grown, max(longest, tokens)
        if chunk:
            yield chunk
