"""Full fine-tuning: every weight of the base is trained, or those of some modules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from cotune.exceptions import InputError
from cotune.models.quantized import refuse_training
from cotune.training.methods._change import relative_change
from cotune.training.methods._method import Attached, Method

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cotune.models import LanguageModel


class Full(Method):
    """Every weight of the base, in float32 while it is trained, whatever type the base was loaded in."""

    modules: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of the modules whose weights are trained, such as [v_proj]; null for all."""

    @model_serializer(mode="wrap")
    def _without_the_unsaid(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The hashes of runs are older than the option.
        plain: dict[str, Any] = serialize(self)
        return {name: value for name, value in plain.items() if name != "modules" or value is not None}

    def only(self, modules: Sequence[str]) -> Self:
        """Return the method on the weights of some modules; see :meth:`Method.only`."""
        return self.model_copy(update={"modules": tuple(modules)})

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Let the base's weights be trained as float32 copies; leaving the context brings the old ones back.

        Half precision would round most small updates away.

        Raises
        ------
        InputError
            If no module has one of the names given.
        """
        import torch

        refuse_training(model.base, "full")
        shipped = {parameter: parameter.data for parameter in self._trained(model.base)}
        try:
            for parameter, data in shipped.items():
                parameter.data = data.to(torch.float32, copy=True)
                parameter.requires_grad_(True)
            parts = {"weights": tuple(shipped)}

            def change() -> float:
                return relative_change((parameter.data, data) for parameter, data in shipped.items())

            def write(folder: Path) -> None:
                model.save_pretrained(folder)

            @contextmanager
            def as_base() -> Iterator[None]:
                # What is trained lies beside what was shipped, so that the base costs no further memory.
                tuned = {parameter: parameter.data for parameter in shipped}
                with in_evaluation(model.base), torch.no_grad():
                    try:
                        for parameter, data in shipped.items():
                            parameter.data = data
                        yield
                    finally:
                        for parameter, data in tuned.items():
                            parameter.data = data

            def mix(values: Sequence[Tensor], share: float) -> None:
                with torch.no_grad():
                    for (parameter, data), value in zip(shipped.items(), values, strict=True):
                        start = data.to(torch.float32)
                        parameter.copy_(torch.lerp(start, value.to(start), share))

            yield Attached(model.base, parts, write, weight_change=change, as_base=as_base, mix=mix)
        finally:
            for parameter, data in shipped.items():
                parameter.data = data
                parameter.grad = None
            model.base.requires_grad_(False).eval()

    def _trained(self, base: Any) -> list[nn.Parameter]:
        if self.modules is None:
            return list(base.parameters())
        found: dict[int, nn.Parameter] = {}
        for name in self.modules:
            of_name = [part for path, part in base.named_modules() if f".{path}".endswith(f".{name}")]
            if not of_name:
                raise InputError(f"The model has no module named {name!r} of method.modules.")
            found |= {id(p): p for part in of_name for p in part.parameters()}
        return list(found.values())


@contextmanager
def in_evaluation(module: nn.Module) -> Iterator[None]:
    """Put a module, which is in one mode as a whole, into evaluation mode for a while."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
