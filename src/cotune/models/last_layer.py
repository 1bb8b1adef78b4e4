"""No more of the last layer and of the logits than is asked for.

Of a sequence only the tokens that predict a target are asked. What the feed-forward part of the last layer
makes of the others reaches no logit: it is most of a layer, and with the adapter on few upper layers most of
one of them. Nor is the vocabulary projected onto at tokens that another row of the batch is asked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from cotune.exceptions import InputError
from cotune.models.layers import layer_lists
from cotune.models.module_names import MODULE_GROUPS


def feed_forward(base: nn.Module) -> list[nn.Module]:
    """Return the feed-forward parts of the last layer of a model; none where they are not known by name."""
    try:
        last = layer_lists(base)[-1][-1]
    except InputError:
        return []
    named = {
        path: module
        for path, module in last.named_modules()
        if path.split(".")[-1].lower() in MODULE_GROUPS["mlp"]
    }
    return [
        module for path, module in named.items() if not any(path.startswith(f"{other}.") for other in named)
    ]


@contextmanager
def asked_at(parts: Iterable[nn.Module], columns: torch.Tensor) -> Iterator[None]:
    """Let passes within the context leave out what the last layer feeds forward elsewhere.

    Parameters
    ----------
    parts : iterable of Module
        From :func:`feed_forward`.
    columns : LongTensor of shape (c,)
        Columns of the pass, ascending, whose logits are asked for.
    """
    with ExitStack() as stack:
        for part in parts:
            if not _drops_out(part):
                stack.enter_context(_at(part, columns))
        yield


def _drops_out(part: nn.Module) -> bool:
    """Whether it draws: fewer draws would be other draws."""
    return any(
        isinstance(module, nn.Dropout) and module.p > 0 and module.training for module in part.modules()
    )


@contextmanager
def _at(part: nn.Module, columns: torch.Tensor) -> Iterator[None]:
    """Let a module that goes token by token see some columns alone; elsewhere it gives zeros."""
    length: int | None = None

    def chosen(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        nonlocal length
        of_tokens = args[0]
        length = of_tokens.shape[1] if of_tokens.ndim == 3 and of_tokens.shape[1] > len(columns) else None
        if length is None:
            return None
        shape = of_tokens.shape[:2]
        return tuple(one[:, columns] if _is_of(one, shape) else one for one in args)

    def placed(_: nn.Module, __: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
        if length is None:
            return None
        everywhere = output.new_zeros(output.shape[0], length, *output.shape[2:])
        return everywhere.index_copy(1, columns, output)

    hooks = [part.register_forward_pre_hook(chosen), part.register_forward_hook(placed)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_of(value: Any, shape: torch.Size) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim == 3 and value.shape[:2] == shape


class Picked:
    """The tokens at which a batch's vocabulary is projected onto.

    Parameters
    ----------
    row, column : LongTensor of shape (t,)
        Where each stands among what the model's last matrix is given.
    """

    def __init__(self, row: torch.Tensor, column: torch.Tensor) -> None:
        self._row, self._column = row, column
        self._done = False

    @contextmanager
    def at(self, base: nn.Module) -> Iterator[None]:
        """Let the last matrix of passes within the context see these tokens alone."""
        head = base.get_output_embeddings()  # type: ignore[operator]
        # What else is on it may go by the rows of the batch.
        if head is None or head._forward_hooks:
            yield
            return
        hook = head.register_forward_pre_hook(self._pick)
        try:
            yield
        finally:
            hook.remove()

    def _pick(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        states, *rest = args
        if states.ndim != 3 or states.shape[0] * states.shape[1] <= len(self._row):
            return None
        self._done = True
        return (states[self._row, self._column][None], *rest)

    def of(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits of each token, of what the pass gave."""
        return logits[0] if self._done else logits[self._row, self._column]
