"""Trying on a few tokens whether a model gives examples that share a row what it gives each alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cotune.models.batching import causal_batch
from cotune.models.encoding import Encoded
from cotune.models.likelihood import batch_losses, row_losses

if TYPE_CHECKING:
    from cotune.models._language_model import LanguageModel

_WINDOWS = (
    "sliding_window",
    "window_size",
    "attention_window_size",
    "attention_chunk_size",
    "local_attention",
)
"""What architectures call the reach of attention where it has a limit."""

_REFUSALS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""How architectures say that they do not take a mask, a position or a cache."""


def packing_is_exact(model: LanguageModel) -> bool:
    """Try packing on three short examples: the losses must be those of one example a row."""
    config = model.base.config.get_text_config()
    # Distances within a packed row are longer, and examples of a few tokens do not meet the window.
    if any(getattr(config, name, None) for name in _WINDOWS):
        return False
    examples = _examples(model)
    losses: list[torch.Tensor] = []
    with torch.inference_mode():
        for rows in ([[0, 1, 2]], [[0], [1], [2]]):
            batch = causal_batch(examples, rows, model.pad_token).to(model.device)
            try:
                losses.append(model.target_losses(model.base, batch))
            except _REFUSALS:
                return False
    tolerance = _tolerance(model)
    return torch.allclose(losses[0], losses[1], rtol=tolerance, atol=tolerance)


def rows_are_exact(model: LanguageModel) -> bool:
    """Try keys and values that examples share: the losses must be those of a packed batch."""
    examples = _examples(model)
    with torch.inference_mode():
        plain = batch_losses(model, model.base, examples, batch_tokens=model.batch_tokens)
        try:
            # In parts, so that the second meets the prefix as the first one left it.
            shared = row_losses(model, model.base, examples, batch_tokens=6)
        except _REFUSALS:
            return False
    tolerance = _tolerance(model)
    return bool(np.allclose(shared, plain, rtol=tolerance, atol=tolerance))


def _examples(model: LanguageModel) -> list[Encoded]:
    ids = torch.Generator().manual_seed(0)
    draw = torch.randint(0, model.vocabulary_size, (3, 8), generator=ids).tolist()
    prefix = tuple(draw[0]) + tuple(draw[1])
    return [Encoded((*prefix, *row[:4]), tuple(row[4:])) for row in draw]


def _tolerance(model: LanguageModel) -> float:
    return 2e-2 if model.base.dtype.itemsize < 4 else 1e-3
