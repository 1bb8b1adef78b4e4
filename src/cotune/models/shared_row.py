"""One row for many examples: what they share is read once, and every token sees only what is its own.

The prompts of a task open with the same tokens: a soft prompt, the instruction, the demonstrations. A row
holds their keys and values once, followed by the columns of all examples side by side; positions go on from
the prefix in every example, and the attention mask lets each token see the prefix and its own past. The
logits are those of each example alone, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import DynamicCache

from cotune.models._frozen import FrozenModel


class SharedRow:
    """Keys and values of one row, which grows with what is read.

    Parameters
    ----------
    model : FrozenModel
        A decoder-only model for which packing is exact.
    module : Module
        Its base, or its base under an adapter.
    prefix : sequence of int
        The tokens that all examples begin with.
    states : Tensor of shape (1, len(prefix), width), optional
        What its passes start from, in place of the lower layers.
    """

    def __init__(
        self,
        model: FrozenModel,
        module: nn.Module,
        prefix: Sequence[int],
        states: torch.Tensor | None = None,
    ) -> None:
        self._model = model
        self._module = module
        self._cache = DynamicCache()
        self.n_prefix = self.n_columns = len(prefix)
        if prefix:
            ids = torch.tensor([list(prefix)], device=model.device)
            # Of the logits none is needed; not every architecture lets one choose.
            few = {"logits_to_keep": 1} if model.keeps_logits else {}
            inputs = {"input_ids": ids, "past_key_values": self._cache, "use_cache": True}
            last = torch.tensor([len(prefix) - 1], device=model.device)
            with model.from_states(inputs, states) as started, model.asked(last):
                module(**started, **few)

    n_columns: int
    """Tokens the row holds, the prefix included."""

    def read(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        visible: torch.Tensor,
        wanted: Sequence[int],
        states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Append tokens to the row.

        Parameters
        ----------
        tokens, positions : sequences of int
            The tokens and each one's place in its own example.
        visible : BoolTensor of shape (len(tokens), n_columns + len(tokens))
            Which columns each token sees, after it has been appended itself.
        wanted : sequence of int
            Indices into ``tokens`` of those whose successor is asked for.
        states : Tensor of shape (1, len(tokens), width), optional
            What the pass starts from, where that of the prefix did.

        Returns
        -------
        Tensor of shape (len(wanted), vocabulary)
            Logits, in the model's type.
        """
        device = self._model.device
        hidden = torch.finfo(torch.float32).min
        mask = torch.zeros(visible.shape, device=device).masked_fill_(~visible.to(device), hidden)
        index = torch.tensor(wanted, device=device)
        inputs = {
            "input_ids": torch.tensor([list(tokens)], device=device),
            "position_ids": torch.tensor([list(positions)], device=device),
            "attention_mask": mask[None, None],
            "past_key_values": self._cache,
            "use_cache": True,
        }
        self.n_columns += len(tokens)
        with self._model.from_states(inputs, states) as started, self._model.asked(index):
            if self._model.keeps_logits:
                logits: torch.Tensor = self._module(**started, logits_to_keep=index).logits[0]
                return logits
            logits = self._module(**started).logits[0, index]
            return logits

    def repeated(self, n_rows: int) -> DynamicCache:
        """Return the row's keys and values as a cache of as many rows, for decoders that want a batch."""
        cache = DynamicCache()
        for number, layer in enumerate(self._cache.layers):
            cache.update(
                layer.keys.expand(n_rows, -1, -1, -1), layer.values.expand(n_rows, -1, -1, -1), number
            )
        return cache

    def keep(self, columns: torch.Tensor) -> None:
        """Forget all columns but these.

        Parameters
        ----------
        columns : LongTensor
            Ascending; the prefix among them.
        """
        kept = DynamicCache()
        for number, layer in enumerate(self._cache.layers):
            if layer.is_initialized:  # those below a boundary hold nothing
                kept.update(layer.keys[:, :, columns], layer.values[:, :, columns], number)
        self._cache, self.n_columns = kept, len(columns)


class TokenTree:
    """Sequences that share beginnings, each token held once: the columns a row is to read.

    Parameters
    ----------
    n_prefix : int
        Number of tokens that stand before the root.
    """

    def __init__(self, n_prefix: int) -> None:
        self.n_prefix = n_prefix
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self._parents: list[int] = []
        self._children: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.tokens)

    def add(self, tokens: Sequence[int]) -> list[int]:
        """Add a sequence; return the column of each of its tokens."""
        path: list[int] = []
        parent = -1
        for depth, token in enumerate(tokens):
            column = self._children.setdefault((parent, token), len(self.tokens))
            if column == len(self.tokens):
                self.tokens.append(token)
                self.positions.append(self.n_prefix + depth)
                self._parents.append(parent)
            path.append(column)
            parent = column
        return path

    def visible(self) -> NDArray[np.bool_]:
        """Return who sees whom: the prefix and one's own path, as (columns, n_prefix + columns)."""
        seen = np.eye(len(self.tokens), dtype=bool)
        for column, parent in enumerate(self._parents):
            if parent >= 0:
                seen[column] |= seen[parent]
        return np.pad(seen, ((0, 0), (self.n_prefix, 0)), constant_values=True)
