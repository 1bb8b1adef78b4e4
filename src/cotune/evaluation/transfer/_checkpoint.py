"""A checkpoint in the place of the model that it was tuned from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cotune.training.methods import Method

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cotune.models import LanguageModel


@contextmanager
def checkpoint_as_base(
    model: LanguageModel,
    method: Method,
    tasks: Sequence[str],
    parts: Mapping[str, Sequence[torch.Tensor]],
) -> Iterator[None]:
    """Let a tuned model be the base: adapters are added to the weights they adapt, soft prompts left out.

    Whatever is put on the base within the context is put on the tuned model. An adapter's update is rounded
    to the type of the weights.

    Parameters
    ----------
    model : LanguageModel
        The model that was tuned; bit for bit as before when the context is left.
    method : Method
        How it was tuned.
    tasks : sequence of str
        On which tasks.
    parts : mapping of str to sequence of Tensor
        The values of ``Attached.parts`` at the checkpoint.
    """
    import torch

    shipped = {parameter: parameter.data for parameter in model.base.parameters()}
    try:
        with method.attach(model, tasks) as attached, torch.no_grad():
            for name, values in parts.items():
                for parameter, value in zip(attached.parts[name], values, strict=True):
                    parameter.copy_(value)
            _merge(attached.module)
            tuned = {parameter: parameter.data for parameter in shipped}
        for parameter, data in tuned.items():
            parameter.data = data
        yield
    finally:
        for parameter, data in shipped.items():
            parameter.data = data


def _merge(module: nn.Module) -> None:
    """Add the updates of PEFT's adapters to copies of the weights they stand beside."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for layer in module.modules():
        if isinstance(layer, BaseTunerLayer):
            for parameter in layer.get_base_layer().parameters():
                parameter.data = parameter.data.clone()
            layer.merge()
