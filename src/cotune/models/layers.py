"""The layers of a model, in the lists that architectures hold them in."""

from __future__ import annotations

from typing import Any

from torch import nn

from cotune.exceptions import InputError


def layer_lists(base: nn.Module) -> list[nn.ModuleList]:
    """Return the layers of a model: of an encoder-decoder model those of its encoder and of its decoder.

    Raises
    ------
    InputError
        If the architecture does not hold its layers in one list.
    """
    config: Any = base.config
    if config.is_encoder_decoder:
        parts = [base.get_encoder(), base.get_decoder()]  # type: ignore[operator]
        return [_longest(part, config) for part in parts]
    return [_longest(base, config)]


def _longest(part: nn.Module, config: Any) -> nn.ModuleList:
    """Return the longest of the lists that stand in no other: experts of a layer may be more than layers."""
    lists = {path: module for path, module in part.named_modules() if isinstance(module, nn.ModuleList)}
    outer = [
        module for path, module in lists.items() if not any(path.startswith(f"{other}.") for other in lists)
    ]
    if not any(len(one) > 1 for one in outer):
        raise InputError(
            f"learner.adapt_from: the architecture {config.model_type!r} does not hold its layers in a list; "
            "take adapt_from away."
        )
    return max(outer, key=len)
