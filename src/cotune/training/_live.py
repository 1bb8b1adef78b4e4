"""Bytes of the tensors that are alive: what a device tells of itself, and processors and shapes do not."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts, within its context, the storages that operations of torch make, until nothing holds them.

    Parameters
    ----------
    before : iterable of Tensor
        Tensors that are there already and count as well.
    """

    def __init__(self, before: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known: set[int] = set()
        self.now = 0
        """Bytes that are alive."""
        for tensor in before:
            self._see(tensor)
        self.most = self.now
        """Bytes that were alive at once, at most."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf)
        self.most = max(self.most, self.now)
        return result

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, held = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += held
            weakref.finalize(storage, self._forget, key, held)

    def _forget(self, key: int, held: int) -> None:
        self._known.discard(key)
        self.now -= held
