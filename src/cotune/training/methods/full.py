"""Full fine-tuning: every weight of the base is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.models.quantized import refuse_training
from cotune.training.methods._change import relative_change
from cotune.training.methods._method import Attached, Method

if TYPE_CHECKING:
    from cotune.models import LanguageModel


class Full(Method):
    """Every weight of the base, in float32 while it is trained, whatever type the base was loaded in."""

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Let the base's weights be trained as float32 copies; leaving the context brings the old ones back.

        Half precision would round most small updates away.
        """
        import torch

        refuse_training(model.base, "full")
        shipped = {parameter: parameter.data for parameter in model.base.parameters()}
        try:
            for parameter, data in shipped.items():
                parameter.data = data.to(torch.float32, copy=True)
                parameter.requires_grad_(True)
            parts = {"weights": tuple(shipped)}

            def change() -> float:
                return relative_change((parameter.data, data) for parameter, data in shipped.items())

            def write(folder: Path) -> None:
                model.save_pretrained(folder)

            yield Attached(model.base, parts, write, weight_change=change)
        finally:
            for parameter, data in shipped.items():
                parameter.data = data
                parameter.grad = None
            model.base.requires_grad_(False).eval()
