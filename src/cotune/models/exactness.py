"""Trying on a few tokens whether a model gives examples in one batch what it gives each alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cotune.models._frozen import FrozenModel
from cotune.models.batching import Batch, causal_batch, seq2seq_batch
from cotune.models.encoding import Encoded
from cotune.models.likelihood import batch_losses, row_losses

_WINDOWS = (
    "sliding_window",
    "window_size",
    "attention_window_size",
    "attention_chunk_size",
    "local_attention",
)
"""What architectures call the reach of attention where it has a limit."""

REFUSALS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""How architectures say that they do not take a mask, a position or a cache."""


def packing_is_exact(model: FrozenModel) -> bool:
    """Try packing on three short examples: the losses must be those of one example a row."""
    config = model.base.config.get_text_config()
    # Distances within a packed row are longer, and examples of a few tokens do not meet the window.
    if any(getattr(config, name, None) for name in _WINDOWS):
        return False
    # No mask keeps a convolution from the neighbours, and what it leaks may be less than is told here.
    if any(isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1 for module in model.base.modules()):
        return False
    examples = _examples(model)
    losses: list[torch.Tensor] = []
    with torch.inference_mode():
        for rows in ([[0, 1, 2]], [[0], [1], [2]]):
            batch = causal_batch(examples, rows, model.pad_token).to(model.device)
            try:
                losses.append(model.target_losses(model.base, batch))
            except REFUSALS:
                return False
    limit = tolerance(model)
    return torch.allclose(losses[0], losses[1], rtol=limit, atol=limit)


def trimming_is_exact(model: FrozenModel) -> bool:
    """Try to leave out of the last layer what is not asked for: the losses must be those of all of it."""
    long, short, _ = _examples(model)
    examples = [Encoded(long.prompt[12:], long.target), Encoded(short.prompt[14:], short.target[2:])]
    with torch.inference_mode():
        try:
            batch = _plain_batch(model, examples)
            plain = model.target_losses(model.base, batch)
            with model.trimming():
                trimmed = model.target_losses(model.base, batch)
        except REFUSALS:
            return False
    limit = tolerance(model)
    return torch.allclose(plain, trimmed, rtol=limit, atol=limit)


def rows_are_exact(model: FrozenModel) -> bool:
    """Try keys and values that examples share: the losses must be those of a packed batch."""
    examples = _examples(model)
    with torch.inference_mode():
        plain = batch_losses(model, model.base, examples, batch_tokens=model.batch_tokens)
        try:
            # In parts, so that the second meets the prefix as the first one left it.
            shared = row_losses(model, model.base, examples, batch_tokens=6)
        except REFUSALS:
            return False
    limit = tolerance(model)
    return bool(np.allclose(shared, plain, rtol=limit, atol=limit))


def right_padding_is_exact(model: FrozenModel) -> bool:
    """Try two examples of unequal lengths in one batch: the losses must be those of each alone."""
    long, short, _ = _examples(model)
    examples = [long, Encoded(short.prompt[7:], short.target[1:])]
    with torch.inference_mode():
        try:
            together = model.target_losses(model.base, _plain_batch(model, examples))
        except REFUSALS:
            return False
        alone = [model.target_losses(model.base, _plain_batch(model, [example])) for example in examples]
    limit = tolerance(model)
    return torch.allclose(together, torch.cat(alone), rtol=limit, atol=limit)


@dataclass(frozen=True, slots=True)
class Generating:
    """What transformers' generation does with a model.

    Parameters
    ----------
    cached : bool
        Whether it goes on from what was computed.
    pads_left : bool
        Whether a prompt that is padded on the left is completed as it is alone.
    """

    cached: bool
    pads_left: bool


def try_generating(model: FrozenModel, *, num_beams: int) -> Generating:
    """Try to write two tokens after prompts of unequal lengths.

    A prompt's own logits are compared, those of the first token and those of a second one that is read after
    the first: recurrent models may keep padding in their state, or mix the states of a batch up even where
    nothing is padded (RWKV does), and then go on from nothing.
    """
    long, short, other = (list(example.prompt) for example in _examples(model))
    prompts = [long, short[7:]]
    limit = 5e-2 if model.base.dtype.itemsize < 4 else 1e-3
    with _evaluating(model), torch.inference_mode():
        for cached in (True, False):
            try:
                alone = [_first_logits(model, [prompt], num_beams, cached=cached) for prompt in prompts]
                beside = _first_logits(model, [long, other], num_beams, cached=cached)
            except REFUSALS:
                if not cached:
                    raise
                continue
            if _distance(alone[0][0], beside[0]) <= limit:
                break
        try:
            together = _first_logits(model, prompts, num_beams, cached=cached)
        except REFUSALS:
            return Generating(cached, pads_left=False)
    apart = max(_distance(of_one[0], of_all) for of_one, of_all in zip(alone, together, strict=True))
    return Generating(cached, apart <= limit)


def _first_logits(
    model: FrozenModel, prompts: list[list[int]], num_beams: int, *, cached: bool
) -> torch.Tensor:
    """Return the logits of two tokens after each prompt, of its first beam: (prompts, 2, vocabulary)."""
    width = max(map(len, prompts))
    ids = [[model.pad_token] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    if model.seq2seq:
        ids, mask = [row[::-1] for row in ids], [row[::-1] for row in mask]
    out = model.base.generate(
        input_ids=torch.tensor(ids, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        min_new_tokens=2,
        max_new_tokens=2,
        num_beams=num_beams,
        use_cache=cached,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return torch.stack(out.logits, 1)[::num_beams].float()


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference of logits, as a share of the largest of them about their mean."""
    spread = (a - a.mean(-1, keepdim=True)).abs().max().clamp(min=1e-6)
    distance = float((a - b).abs().max() / spread)
    return distance if distance == distance else float("inf")


def _plain_batch(model: FrozenModel, examples: list[Encoded]) -> Batch:
    if model.start_token is not None:
        return seq2seq_batch(examples, model.pad_token, model.start_token).to(model.device)
    return causal_batch(examples, [[at] for at in range(len(examples))], model.pad_token).to(model.device)


@contextmanager
def _evaluating(model: FrozenModel) -> Iterator[None]:
    """Let nothing drop out, whoever asks."""
    training = [module for module in model.base.modules() if module.training]
    model.base.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _examples(model: FrozenModel) -> list[Encoded]:
    ids = torch.Generator().manual_seed(0)
    draw = torch.randint(0, model.vocabulary_size, (3, 8), generator=ids).tolist()
    prefix = tuple(draw[0]) + tuple(draw[1])
    return [Encoded((*prefix, *row[:4]), tuple(row[4:])) for row in draw]


def tolerance(model: FrozenModel) -> float:
    """Return the difference of losses, in nats, up to which two ways of computing give the same."""
    return 2e-2 if model.base.dtype.itemsize < 4 else 1e-3
