"""Likelihoods of targets: in plain or packed batches, and in one row that all examples share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cotune.models._frozen import FrozenModel
from cotune.models.batching import shared_prefix
from cotune.models.encoding import Encoded
from cotune.models.shared_row import SharedRow, TokenTree

_SHORT = 3
"""What all prompts begin with is read in the first pass over examples where it is so much shorter than a
pass: one of a few tokens pays for the weights as a long one does. A long one costs less by itself, where
attention goes back only."""


def batch_losses(
    model: FrozenModel, module: nn.Module, examples: Sequence[Encoded], *, batch_tokens: int
) -> NDArray[np.float64]:
    """Mean negative log-likelihood per target token, batch by batch; see :meth:`FrozenModel.nll`."""
    result = np.empty(len(examples))
    for indices in model.chunks(examples, batch_tokens):
        batch = model.batch([examples[i] for i in indices])
        losses = model.target_losses(module, batch)
        zeros = torch.zeros(batch.n_examples, device=losses.device)
        total = zeros.index_add(0, batch.example, losses)
        count = zeros.index_add(0, batch.example, torch.ones_like(losses))
        result[indices] = (total / count).double().cpu().numpy()
    return result


def row_losses(
    model: FrozenModel, module: nn.Module, examples: Sequence[Encoded], *, batch_tokens: int
) -> NDArray[np.float64]:
    """Mean negative log-likelihood per target token; see :meth:`FrozenModel.nll`.

    What all prompts begin with is read once; of neighbours, such as the choices of one input, so is all that
    they have in common.

    Parameters
    ----------
    model : FrozenModel
        A decoder-only model for which packing is exact.
    module : Module
        Its base, or its base under an adapter.
    examples : sequence of Encoded
        All with a target.
    batch_tokens : int
        About how many columns beside the prefix are read at once.

    Returns
    -------
    ndarray of shape (len(examples),)
        Nats.
    """
    n_prefix = shared_prefix([example.prompt for example in examples])
    n_alone = n_prefix if n_prefix * _SHORT > batch_tokens else 0
    opening = _states(model, examples, [(0, place) for place in range(n_alone)])
    row = SharedRow(model, module, examples[0].prompt[:n_alone], opening)
    prefix = torch.arange(n_prefix, device=model.device)
    result = np.empty(len(examples))
    waiting = list(range(len(examples)))[::-1]
    while waiting:
        n_held = row.n_columns
        most = batch_tokens + n_prefix - n_held
        tree = TokenTree(n_held)
        read: list[tuple[int, int]] = []
        sources: list[int] = []
        owners: list[int] = []
        labels: list[int] = []
        while waiting and len(tree) < most:
            index = waiting.pop()
            example = examples[index]
            path = tree.add([*example.prompt[n_held:], *example.target[:-1]])
            read += [(index, n_held + at) for at, column in enumerate(path) if column >= len(read)]
            sources += path[-len(example.target) :]
            owners += [index] * len(example.target)
            labels += example.target
        wanted, place = np.unique(sources, return_inverse=True)
        visible = torch.from_numpy(tree.visible())
        states = _states(model, examples, read)
        logits = row.read(tree.tokens, tree.positions, visible, wanted.tolist(), states)
        losses = _losses(logits, place, labels)
        if waiting:
            row.keep(prefix)  # columns of the first tree too: the first path begins with it
        for index in set(owners):
            result[index] = losses[np.array(owners) == index].mean()
    return result


def _states(
    model: FrozenModel, examples: Sequence[Encoded], tokens: Sequence[tuple[int, int]]
) -> torch.Tensor | None:
    """Return what a pass over tokens starts from, each given as whose it is and its place there."""
    if model.below is None or not tokens:
        return None
    owner, place = torch.tensor(tokens).T[:, None]
    return model.below.states(examples, owner, place).to(model.device)


def _losses(logits: torch.Tensor, place: NDArray[np.intp], labels: Sequence[int]) -> NDArray[np.float64]:
    """Negative log-likelihood of each label at its place among the logits."""
    at = torch.from_numpy(place).to(logits.device)
    label = torch.tensor(labels, device=logits.device)
    logits = logits.float()
    # Several labels may follow one token: its normaliser is computed once.
    losses = logits.logsumexp(-1)[at] - logits[at, label]
    return losses.double().cpu().numpy()
