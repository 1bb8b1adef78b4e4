"""Which parameters are the MLP, the queries, the keys and the values of which layer, by their names."""

from __future__ import annotations

import re
from typing import Literal

from torch import nn

from cotune.exceptions import InputError
from cotune.models.module_names import MODULE_GROUPS

_BLOCK = re.compile(r"^(?P<stack>.*?)\.(?P<index>\d+)\.(?P<inside>.+)$")
_ADAPTER = re.compile(r"\b(lora_|prompt_encoder|ia3_)")


def module_groups(
    module: nn.Module,
    *,
    layers: Literal["last", "all"] = "last",
    parameters: Literal["weights", "trained"] = "weights",
) -> dict[str, list[nn.Parameter]]:
    """Find the weight matrices of MLP, query, key and value of the decoder.

    Parameters
    ----------
    module : Module
        A model, or a model under an adapter.
    layers : {"last", "all"}
        The last layer, as in the paper, or all of the decoder; where it has cross-attention, both of a
        layer's attentions count.
    parameters : {"weights", "trained"}
        The model's own matrices, whether they are trained or an adapter beside them is; or whatever matrices
        of these modules require a gradient, those of an adapter among them.

    Returns
    -------
    dict of str to list of Parameter
        By the keys of :data:`MODULE_GROUPS` that the architecture has, in their order.

    Raises
    ------
    InputError
        If no such module is found, or none of them has matrices of the kind asked for.
    """
    found: dict[str, dict[int, dict[str, list[nn.Parameter]]]] = {}
    for name, parameter in module.named_parameters():
        place = _BLOCK.match(name)
        group = _group(place["inside"]) if place else None
        if place and group and _wanted(name, parameter, parameters):
            layer = found.setdefault(place["stack"], {}).setdefault(int(place["index"]), {})
            layer.setdefault(group, []).append(parameter)
    # The decoder's stack comes after the encoder's, as what is computed last.
    stack = found[list(found)[-1]] if found else {}
    chosen = [stack[max(stack)]] if stack and layers == "last" else list(stack.values())
    if not chosen:
        raise InputError(
            f"{type(module).__name__} has no {'' if parameters == 'weights' else 'trained '}matrices inside "
            f"numbered layers in modules named {', '.join(sorted(set().union(*MODULE_GROUPS.values())))}, so "
            "its gradients cannot be told apart by module."
        )
    return {
        group: [parameter for layer in chosen for parameter in layer.get(group, ())]
        for group in MODULE_GROUPS
        if any(group in layer for layer in chosen)
    }


def _group(inside: str) -> str | None:
    """Return the group of a parameter by the modules it is in, the innermost first."""
    for part in reversed(inside.lower().split(".")):
        for group, names in MODULE_GROUPS.items():
            if part in names:
                return group
    return None


def _wanted(name: str, parameter: nn.Parameter, kind: Literal["weights", "trained"]) -> bool:
    if parameter.ndim < 2 or not parameter.is_floating_point():
        return False
    return parameter.requires_grad if kind == "trained" else not _ADAPTER.search(name)
