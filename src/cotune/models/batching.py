"""From tokens to tensors: examples that share a prefix are packed into one row, the prefix encoded once.

Prompts of one task open with the same instruction, often longer than the example itself. A row holds that
prefix once, followed by the remainders of several examples; positions restart after the prefix, and the
attention mask lets every remainder see the prefix and itself. Each example gets the logits it would get
alone, up to rounding, at a fraction of the tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from cotune.models.encoding import Encoded
from cotune.models.moving import sent

Row = list[int]
"""Indices of the examples that share a row."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs of one forward pass and where its targets are.

    Parameters
    ----------
    inputs : dict of str to Tensor
        Keyword arguments of the model.
    columns : LongTensor of shape (c,)
        Sequence positions whose logits are needed; all of them for encoder-decoder models.
    row, column : LongTensor of shape (t,)
        For every target token, the row and the index into ``columns`` of the logits that predict it.
    label : LongTensor of shape (t,)
        The target tokens.
    example : LongTensor of shape (t,)
        Which of the batch's examples each target token belongs to.
    n_examples : int
        Number of examples.
    n_tokens : int
        Tokens of the examples counted one by one, prefixes repeated.
    owner : LongTensor of shape (rows, length)
        Which of the batch's examples each token of the prompts' sequence belongs to, the first of a row where
        several do; -1 for padding.
    states : Tensor of shape (rows, length, width), optional
        What a pass over the upper layers starts from; see :class:`Below`.
    """

    inputs: dict[str, torch.Tensor]
    columns: torch.Tensor
    row: torch.Tensor
    column: torch.Tensor
    label: torch.Tensor
    example: torch.Tensor
    n_examples: int
    n_tokens: int
    owner: torch.Tensor
    states: torch.Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Copy to a device."""
        return replace(
            self,
            inputs={name: sent(value, device) for name, value in self.inputs.items()},
            columns=sent(self.columns, device),
            row=sent(self.row, device),
            column=sent(self.column, device),
            label=sent(self.label, device),
            example=sent(self.example, device),
            states=None if self.states is None else sent(self.states, device),
        )


class Below(Protocol):
    """The lower part of a model for passes that start above it."""

    def states(self, examples: Sequence[Encoded], owner: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Return what the lower part makes of chosen tokens.

        Parameters
        ----------
        examples : sequence of Encoded
            The examples.
        owner, place : LongTensor of shape (rows, length)
            Whose token each is, -1 for padding, and where in that example it stands.

        Returns
        -------
        Tensor of shape (rows, length, width)
        """
        ...

    def above(
        self, inputs: Mapping[str, Any], states: torch.Tensor
    ) -> AbstractContextManager[Mapping[str, Any]]:
        """Let passes within the context start from states; give what they are called with."""
        ...


def shared_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Count the tokens all prompts begin with, leaving each at least its last one."""
    first = prompts[0]
    common = min(len(prompt) for prompt in prompts) - 1
    for prompt in prompts[1:]:
        common = next((at for at in range(common) if prompt[at] != first[at]), common)
    return common


def plan_rows(
    examples: Sequence[Encoded],
    *,
    pack: bool,
    max_tokens: int = 512,
    owners: Sequence[int] | None = None,
) -> list[Row]:
    """Decide which examples share a row.

    Consecutive examples join a row as long as they share at least half of the row's prefix and the row stays
    under ``max_tokens``.

    Parameters
    ----------
    examples : sequence of Encoded
        In the order in which neighbours are likely to share a prefix.
    pack : bool
        False gives every example its own row.
    max_tokens : int
        Longest packed row.
    owners : sequence of int, optional
        Whose each example is; those of different owners do not share a row.

    Returns
    -------
    list of list of int
    """
    rows: list[Row] = []
    prefix = total = 0
    for index, example in enumerate(examples):
        if pack and rows and (owners is None or owners[index] == owners[index - 1]):
            joined = shared_prefix([examples[rows[-1][0]].prompt[: prefix + 1], example.prompt])
            # A shorter common prefix is repeated in every remainder already in the row.
            grown = total + len(example) - joined + (prefix - joined) * (len(rows[-1]) - 1)
            if joined >= max(8, prefix // 2) and grown <= max_tokens:
                rows[-1].append(index)
                prefix, total = joined, grown
                continue
        rows.append([index])
        prefix, total = len(example.prompt), len(example)
    return rows


def causal_batch(examples: Sequence[Encoded], rows: Sequence[Row], pad_token: int) -> Batch:
    """Build the tensors of a decoder-only model for a plan of rows.

    Parameters
    ----------
    examples : sequence of Encoded
        All with a target.
    rows : sequence of lists of int
        From :func:`plan_rows`; together every example once.
    pad_token : int
        Fills rows on the right; never attended to.

    Returns
    -------
    Batch
        With a mask of shape (rows, length) where every row holds one example, and of shape (rows, 1, length,
        length), additive, where examples share a row.
    """
    laid = [_lay_row(examples, row) for row in rows]
    length = max(len(ids) for ids, *_ in laid)
    all_tokens, all_positions, all_owners, all_targets = zip(*laid, strict=True)
    ids = _padded(all_tokens, length, pad_token)
    positions, owner = _padded(all_positions, length, 0), _padded(all_owners, length, -1)
    where = [(at, *target) for at, targets in enumerate(all_targets) for target in targets]
    packed = any(len(row) > 1 for row in rows)
    mask = _block_mask(owner) if packed else (owner >= 0).long()
    row, source, label, example = (torch.tensor(values) for values in zip(*where, strict=True))
    columns, column = torch.unique(source, return_inverse=True)
    inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
    n_tokens, owner = sum(map(len, examples)), _over_all_rows(owner, rows)
    return Batch(inputs, columns, row, column, label, example, len(examples), n_tokens, owner)


def _over_all_rows(owner: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """Return the example of each token, given its number within its row: 0 is what all begin with."""
    width = max(map(len, rows))
    table = torch.tensor([[-1, row[0], *row, *[-1] * (width - len(row))] for row in rows])
    return table.gather(1, owner + 1)


def _padded(rows: Sequence[list[int]], length: int, fill: int) -> torch.Tensor:
    # One tensor of nested lists: a tensor a row costs more than a small model's whole step.
    return torch.tensor([row + [fill] * (length - len(row)) for row in rows])


def _lay_row(
    examples: Sequence[Encoded], row: Row
) -> tuple[list[int], list[int], list[int], list[tuple[int, int, int]]]:
    """Lay one row out: tokens, positions, owners (0 is the prefix), targets as (column, label, example)."""
    prompts = [examples[index].prompt for index in row]
    prefix = shared_prefix(prompts) if len(row) > 1 else 0
    tokens = list(prompts[0][:prefix])
    positions, owners = list(range(prefix)), [0] * prefix
    targets: list[tuple[int, int, int]] = []
    for owner, index in enumerate(row, start=1):
        example = examples[index]
        rest = [*example.prompt[prefix:], *example.target[:-1]]
        first = len(tokens) + len(example.prompt) - prefix - 1
        targets += [(first + step, label, index) for step, label in enumerate(example.target)]
        tokens += rest
        positions += range(prefix, prefix + len(rest))
        owners += [owner] * len(rest)
    return tokens, positions, owners, targets


def _block_mask(owner: torch.Tensor) -> torch.Tensor:
    """Additive mask (rows, 1, length, length): see the prefix and one's own example, up to oneself."""
    length = owner.shape[1]
    same = (owner[:, :, None] == owner[:, None, :]) | (owner[:, None, :] == 0)
    seen = same & torch.ones(length, length, dtype=torch.bool).tril() & (owner[:, None, :] >= 0)
    # Padding sees itself: a row of nothing but -inf would turn into NaN.
    seen |= torch.eye(length, dtype=torch.bool)
    mask = torch.zeros(seen.shape).masked_fill_(~seen, torch.finfo(torch.float32).min)
    return mask[:, None]


def seq2seq_batch(examples: Sequence[Encoded], pad_token: int, start_token: int) -> Batch:
    """Build the tensors of an encoder-decoder model: padded prompts, targets behind a start token.

    Parameters
    ----------
    examples : sequence of Encoded
        All with a target.
    pad_token, start_token : int
        The model's padding and decoder start tokens.

    Returns
    -------
    Batch
    """
    prompts = [torch.tensor(example.prompt) for example in examples]
    shifted = [torch.tensor((start_token, *example.target[:-1])) for example in examples]
    pad = torch.nn.utils.rnn.pad_sequence
    ids = pad(prompts, batch_first=True, padding_value=pad_token)
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    inputs = {
        "input_ids": ids,
        "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long(),
        "decoder_input_ids": pad(shifted, batch_first=True, padding_value=pad_token),
    }
    sizes = torch.tensor([len(example.target) for example in examples])
    example = torch.repeat_interleave(torch.arange(len(examples)), sizes)
    column = torch.cat([torch.arange(int(size)) for size in sizes])
    label = torch.cat([torch.tensor(one.target) for one in examples])
    columns = torch.arange(int(sizes.max()))
    owner = torch.where(inputs["attention_mask"] > 0, torch.arange(len(examples))[:, None], -1)
    n_tokens = sum(map(len, examples))
    return Batch(inputs, columns, example, column, label, example, len(examples), n_tokens, owner)
