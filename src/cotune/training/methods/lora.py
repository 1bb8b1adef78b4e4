"""LoRA (Hu et al. 2022) through PEFT."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from cotune.exceptions import InputError
from cotune.models import Encoded
from cotune.training.methods._change import adapted_weights, relative_change
from cotune.training.methods._method import Attached, Method
from cotune.training.methods._peft_options import check_fit, check_options, rescaled, shares_passes
from cotune.training.methods.full import in_evaluation

if TYPE_CHECKING:
    from torch import Tensor

    from cotune.models import LanguageModel


_SECOND = frozenset({"lora_B", "lora_embedding_B"})
"""What PEFT calls the second matrix of an update."""


class Lora(Method):
    """A low-rank update ``B A`` beside chosen weight matrices of the frozen base; B starts at zero.

    Beside the options below it takes those of PEFT's ``LoraConfig`` by their own names, such as ``use_dora``,
    ``use_rslora``, ``init_lora_weights``, ``modules_to_save``, ``layers_to_transform`` and ``rank_pattern``.
    """

    model_config = ConfigDict(extra="allow")

    sized_by: ClassVar[str | None] = "r"
    above_alone: ClassVar[bool] = True

    r: PositiveInt = 8
    """Rank of the update."""
    alpha: PositiveFloat = 16
    """The update is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the update's input while training."""
    target_modules: tuple[str, ...] | None = None
    """Names of the matrices; by default PEFT's choice for the architecture (queries and values)."""

    @model_validator(mode="after")
    def _peft_takes_the_rest(self) -> Self:
        if self.options:
            check_options(self.options)
        return self

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of PEFT's own."""
        return self.model_extra or {}

    @property
    def is_plain_lora(self) -> bool:
        """Whether it is without dropout, and no option adds to its two matrices."""
        return self.dropout == 0 and shares_passes(self.options)

    @property
    def wants_trial(self) -> bool:
        """Whether options name parts of a model."""
        return bool(self.options)

    def resized(self, size: int) -> Self:
        """Return the LoRA with another rank and an update scaled as before."""
        factor = size / self.r
        changes = {"r": size, "alpha": self.alpha * factor, **rescaled(self.options, factor)}
        return self.model_copy(update=changes)

    def above(self, layers: Sequence[int], *, decoder: bool = False) -> Self:
        """Return the LoRA on some layers alone, in PEFT's own words; see :meth:`Method.above`."""
        named = {"layers_to_transform": list(layers)}
        # PEFT counts the layers of encoder and decoder alike.
        of_encoder = {"exclude_modules": r"(.*\.)?encoder\..*"} if decoder else {}
        return self.model_validate({**self.model_dump(), **named, **of_encoder})

    def only(self, modules: Sequence[str]) -> Self:
        """Return the LoRA on the matrices of some modules; see :meth:`Method.only`."""
        return self.model_copy(update={"target_modules": tuple(modules)})

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Put a fresh LoRA on the base; leaving the context takes it off.

        Raises
        ------
        InputError
            If the base lacks one of the target modules or computes past it, or PEFT has no default for it.
        """
        own = list(model.base.parameters())
        try:
            module = self._put_on(model)
        except ValueError as error:
            raise self._misfit(model, str(error)) from error
        # Biases that are trained are the base's own.
        before = [(parameter, parameter.data) for parameter in own if parameter.requires_grad]
        for parameter, values in before:
            parameter.data = values.clone()
        try:
            self._check_targets(model, module)

            def change() -> float:
                biases = ((parameter.data, values) for parameter, values in before)
                return relative_change(chain(adapted_weights(module), biases))

            @contextmanager
            def as_base() -> Iterator[None]:
                tuned = [(parameter, parameter.data) for parameter, _ in before]
                try:
                    for parameter, values in before:
                        parameter.data = values
                    with without_adapter(module):
                        yield
                finally:
                    for parameter, values in tuned:
                        parameter.data = values

            yield replace(self._attached(module), weight_change=change, as_base=as_base)
        finally:
            take_off(model, module)
            for parameter, values in before:
                parameter.data, parameter.grad = values, None
                parameter.requires_grad_(False)

    def _put_on(self, model: LanguageModel) -> Any:
        from peft import LoraConfig, TaskType, get_peft_model

        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=None if self.target_modules is None else list(self.target_modules),
            task_type=TaskType.SEQ_2_SEQ_LM if model.seq2seq else TaskType.CAUSAL_LM,
            **self.options,
        )
        with warnings.catch_warnings():
            # PEFT asks transformers for an attribute by its old name.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            return get_peft_model(model.base, config)

    def _attached(self, module: Any) -> Attached:
        import torch

        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        for parameter in trained.values():
            if parameter.dtype != torch.float32:  # a copy of a module of the base; half rounds updates away
                parameter.data = parameter.data.float()

        def write(folder: Path) -> None:
            module.save_pretrained(str(folder))

        # While the matrices B are zero, the update does not depend on A.
        at_zero = self.options.get("init_lora_weights", True) in (True, "gaussian")
        silent = tuple(p for name, p in trained.items() if at_zero and ".lora_A." in name)

        def mix(values: Sequence[Tensor], share: float) -> None:
            # The update is a product: one of its two matrices takes the share.
            with torch.no_grad():
                for (name, parameter), value in zip(trained.items(), values, strict=True):
                    parameter.copy_(value * share if _SECOND & {*name.split(".")} else value)

        linear = mix if shares_passes(self.options) else None
        return Attached(module, {"weights": tuple(trained.values())}, write, silent=silent, mix=linear)

    def _check_targets(self, model: LanguageModel, module: Any) -> None:
        """Refuse a name that fits nothing, or nothing that is computed, while another one does."""
        adapted = module.base_model.targeted_module_names
        misfit = check_fit(self.options, module, adapted)
        if misfit is not None:
            raise InputError(f"LoRA does not fit the model: {misfit}.")
        names = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in adapted))
        for target in self.target_modules or ():
            if not _named(target, adapted):
                raise InputError(
                    f"LoRA does not fit the model: no module is named {target!r} of method.target_modules, "
                    f"unlike {names}."
                )
        if self.target_modules is None or model.device.type == "meta":
            return
        called = called_adapters(model, module)
        for target in self.target_modules:
            if not called.intersection(_named(target, adapted)):
                raise InputError(
                    f"LoRA does not fit the model: {target!r} of method.target_modules would have no effect; "
                    f"the architecture {model.base.config.model_type!r} reads the matrix of that module "
                    "without calling it."
                )

    def _misfit(self, model: LanguageModel, reason: str) -> InputError:
        """Say in a sentence what PEFT does not accept, and which names would do."""
        names = [path for path, _ in model.base.named_modules()]
        if self.options and self._plain._fits(model):
            reason = " ".join(reason.split()).rstrip(". ")
            return InputError(f"LoRA does not fit the model with {', '.join(self.options)}: {reason}.")
        if self.target_modules is None:
            kind = model.base.config.model_type
            reason = f"PEFT has no default of method.target_modules for the architecture {kind!r}"
        elif not any(_named(target, names) for target in self.target_modules):
            given = " or ".join(map(repr, self.target_modules))
            reason = f"no module is named {given} of method.target_modules"
        elif "\n" in reason:
            # With a whole module written out.
            refused = [name for name in self.target_modules if not self._accepts(model, name)]
            reason = f"PEFT does not adapt {' or '.join(map(repr, refused))} of method.target_modules"
        fitting = ", ".join(name for name in _linear_maps(model.base) if self._accepts(model, name))
        hint = f"name modules such as {fitting}" if fitting else "it has no linear maps to adapt"
        return InputError(f"LoRA does not fit the model: {reason.rstrip('. ')}; {hint}.")

    @property
    def _plain(self) -> Lora:
        """The LoRA without the options of PEFT's own."""
        return Lora(**{name: getattr(self, name) for name in type(self).model_fields})

    def _fits(self, model: LanguageModel) -> bool:
        try:
            take_off(model, self._put_on(model))
        except ValueError:
            return False
        return True

    def _accepts(self, model: LanguageModel, name: str) -> bool:
        """Whether an update of the matrices of a name can be put on a model and has an effect."""
        try:
            module = self.model_copy(update={"target_modules": (name,)})._put_on(model)
        except ValueError:
            return False
        try:
            return model.device.type == "meta" or bool(called_adapters(model, module))
        finally:
            take_off(model, module)


def called_adapters(model: LanguageModel, module: Any) -> set[str]:
    """Try on a few tokens which of the adapted modules a model calls, by their paths in the base.

    An architecture may read a map's weight and multiply by itself (the kernels of Mamba do), and would pass
    an update of the map by.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    called: set[str] = set()
    hooks = [
        part.register_forward_pre_hook(lambda *_, path=path: called.add(path))
        for path, part in module.base_model.model.named_modules()
        if isinstance(part, LoraLayer)
    ]
    # The draws of a run are its own: dropout, were it on, would move the generator.
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), torch.inference_mode(), model.autocast():
            model.target_losses(module, model.batch([Encoded((0, 0, 0, 0), (0,))]))
    finally:
        for hook in hooks:
            hook.remove()
    return called


@contextmanager
def without_adapter(module: Any) -> Iterator[None]:
    """Let a model under an adapter of PEFT be the one below, for a while and without gradients."""
    import torch

    trained = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    with in_evaluation(module), torch.no_grad():
        try:
            with module.disable_adapter():
                yield
        finally:
            for parameter, was in trained:  # PEFT lets an adapter be trained again
                parameter.requires_grad_(was)


def take_off(model: LanguageModel, module: Any) -> None:
    """Take an adapter of PEFT off a base, which is as before."""
    from peft.utils.other import ModulesToSaveWrapper

    # PEFT would leave trained copies of modules in the place of the base's own.
    for path, part in list(model.base.named_modules()):
        if isinstance(part, ModulesToSaveWrapper):
            parent, _, name = path.rpartition(".")
            setattr(model.base.get_submodule(parent), name, part.original_module)
    module.unload()
    model.base.eval()
    # Left behind by PEFT; the next adapter would take the base for one that has been adapted before.
    if hasattr(model.base, "peft_config"):
        del model.base.peft_config


def _named(target: str, paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path == target or path.endswith(f".{target}")]


def _linear_maps(base: Any) -> list[str]:
    """Name the linear maps between a model's embeddings, in the order of its modules."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    output = base.get_output_embeddings()
    maps = [
        path.rpartition(".")[2]
        for path, module in base.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module is not output
    ]
    return list(dict.fromkeys(maps))
