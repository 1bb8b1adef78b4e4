"""How far the weights of a model lie from where they were."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def unchanged() -> float:
    """Return 0: a method that leaves the weights of the base as they are."""
    return 0.0


def relative_change(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the norm of the difference over the norm of what was there, ``|W' - W| / |W|``, over all pairs.

    Parameters
    ----------
    pairs : iterable of (Tensor, Tensor)
        What is there now, and what was there before, of one shape.
    """
    moved = before = 0.0
    for now, old in pairs:
        # One matrix at a time is widened, so that a large model needs room for one copy of its largest.
        old = old.detach().float()
        moved += _square(now.detach().float() - old)
        before += _square(old)
    return math.sqrt(moved / before) if moved else 0.0


def _square(tensor: Tensor) -> float:
    return float(tensor.norm()) ** 2


def adapted_weights(module: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the weights under a LoRA of PEFT as they would be merged, each with that of the base.

    Trained copies of whole modules (``modules_to_save``) are among them.

    Parameters
    ----------
    module : Module
        A model under one adapter.
    """
    from peft.tuners.lora import LoraLayer
    from peft.utils.integrations import dequantize_module_weight
    from peft.utils.other import ModulesToSaveWrapper

    for part in module.modules():
        if isinstance(part, ModulesToSaveWrapper):
            own = dict(part.original_module.named_parameters())
            for copy in part.modules_to_save.values():
                yield from ((now, own[name]) for name, now in copy.named_parameters())
        elif isinstance(part, LoraLayer):
            layer: Any = part
            for adapter in layer.active_adapters:
                if adapter in layer.lora_A or adapter in layer.lora_embedding_A:
                    base = _weight_of(layer, dequantize_module_weight)
                    yield _merged(layer, adapter, base), base


def _weight_of(layer: Any, dequantize: Any) -> Tensor:
    # A LoRA on a bare parameter names it.
    weight: Tensor = layer.get_param() if hasattr(layer, "get_param") else dequantize(layer.get_base_layer())
    return weight.detach()


def _merged(layer: Any, adapter: str, base: Tensor) -> Tensor:
    """Return what merging an adapter would make of a weight; in float32, for half would round it away."""
    import torch

    with torch.no_grad():
        if adapter in layer.lora_variant:  # such as DoRA, whose product alone is not the update
            merged: Tensor = layer.lora_variant[adapter].merge_safe(layer, adapter, base.clone())
            return merged
        update: Tensor = layer.get_delta_weight(adapter)
        return base.float() + update.float().reshape(base.shape)
