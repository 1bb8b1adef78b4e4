"""Many LoRAs side by side on one base: each row of a batch passes through one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import nn

from cotune.exceptions import RunError


class LowRank(NamedTuple):
    """The update ``scaling B A`` of one weight matrix."""

    A: torch.Tensor
    """Shape (r, in)."""
    B: torch.Tensor
    """Shape (out, r)."""
    scaling: float


Adapter: TypeAlias = Mapping[str, LowRank]
"""A LoRA: its updates by the path of the matrix in the base."""


def adapter_of(base: nn.Module) -> dict[str, LowRank] | None:
    """Return the LoRA that PEFT has put on a base, not copied; None where it is on other than linear maps."""
    from peft.tuners.lora import LoraLayer

    found: dict[str, LowRank] = {}
    for path, module in base.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        down, up = (dict(maps.items()).get("default") for maps in (module.lora_A, module.lora_B))
        if not (isinstance(down, nn.Linear) and isinstance(up, nn.Linear)):
            return None
        found[path] = LowRank(down.weight, up.weight, float(module.scaling["default"]))
    return found


class LoraStack:
    """M LoRAs of one shape, each matrix a stack of theirs.

    Parameters
    ----------
    adapters : sequence of M mappings
        Their first values.
    """

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self._paths = tuple(adapters[0])
        self._A = {path: _stacked([adapter[path].A for adapter in adapters]) for path in self._paths}
        self._B = {path: _stacked([adapter[path].B for adapter in adapters]) for path in self._paths}
        self._scaling = {path: adapters[0][path].scaling for path in self._paths}
        self._rows: torch.Tensor | None = None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The stacked matrices, of shape (M, r, in) and (M, out, r)."""
        return [*self._A.values(), *self._B.values()]

    def write(self, index: int, adapter: Adapter) -> None:
        """Give one of the LoRAs' values to an adapter from :func:`adapter_of`."""
        with torch.no_grad():
            for path, (down, up, _) in adapter.items():
                down.copy_(self._A[path][index])
                up.copy_(self._B[path][index])

    @contextmanager
    def attached(self, base: nn.Module) -> Iterator[None]:
        """Put the stack on a bare base, for batches whose rows :meth:`rows` assigns."""
        hooks = [base.get_submodule(path).register_forward_hook(self._update(path)) for path in self._paths]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def rows(self, owner: torch.Tensor) -> Iterator[None]:
        """Say which LoRA each row of the next passes belongs to, as a LongTensor of shape (rows,)."""
        self._rows = owner
        try:
            yield
        finally:
            self._rows = None

    def _update(self, path: str) -> Callable[..., torch.Tensor]:
        def add(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            inputs, rows = args[0], self._rows
            if rows is None or inputs.ndim != 3 or len(inputs) != len(rows):
                raise RunError(f"The map {path} of the model does not read a batch row by row.")
            down, up = self._A[path][rows], self._B[path][rows]
            narrow = torch.bmm(inputs.to(down.dtype), down.mT)
            return (output + torch.bmm(narrow, up.mT) * self._scaling[path]).to(output.dtype)

        return add


def _stacked(matrices: Sequence[torch.Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.stack([matrix.detach() for matrix in matrices]))
