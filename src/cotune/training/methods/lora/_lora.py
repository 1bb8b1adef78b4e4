from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt

from cotune.exceptions import InputError
from cotune.training.methods._method import Method

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel


class Lora(Method):
    """A low-rank update ``B A`` beside chosen weight matrices of the frozen base; B starts at zero."""

    r: PositiveInt = 8
    """Rank of the update."""
    alpha: PositiveFloat = 16
    """The update is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the update's input while training."""
    target_modules: tuple[str, ...] | None = None
    """Names of the matrices; by default PEFT's choice for the architecture (queries and values)."""

    @contextmanager
    def attach(self, model: LanguageModel) -> Iterator[nn.Module]:
        """Put a fresh LoRA on the base; leaving the context takes it off.

        Raises
        ------
        InputError
            If the base lacks one of the target modules.
        """
        from peft import LoraConfig, TaskType, get_peft_model

        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=None if self.target_modules is None else list(self.target_modules),
            task_type=TaskType.SEQ_2_SEQ_LM if model.seq2seq else TaskType.CAUSAL_LM,
        )
        try:
            with warnings.catch_warnings():
                # PEFT asks transformers for an attribute by its old name.
                warnings.filterwarnings(
                    "ignore", message=".*is_gradient_checkpointing", category=FutureWarning
                )
                module: Any = get_peft_model(model.base, config)
        except ValueError as error:
            raise InputError(f"LoRA does not fit the model: {str(error).splitlines()[0]}") from error
        try:
            self._check_targets(module)
            yield module
        finally:
            module.unload()
            model.base.eval()
            # Left behind by PEFT; the next adapter would take the base for one that has been adapted before.
            if hasattr(model.base, "peft_config"):
                del model.base.peft_config

    def _check_targets(self, module: Any) -> None:
        """Refuse a name that fits nothing, which PEFT passes over as long as another one fits."""
        adapted = module.base_model.targeted_module_names
        for target in self.target_modules or ():
            if not any(name == target or name.endswith(f".{target}") for name in adapted):
                names = ", ".join(sorted({name.rpartition(".")[2] for name in adapted}))
                raise InputError(
                    f"LoRA does not fit the model: no module is named {target!r} of target_modules, "
                    f"unlike {names}."
                )

    def first_order_parameters(self, module: nn.Module) -> list[nn.Parameter]:
        """Return the matrices B: while they are zero, the update does not depend on A."""
        return [parameter for name, parameter in module.named_parameters() if ".lora_B." in name]

    def save(self, module: nn.Module, folder: Path) -> None:
        """Write ``adapter_config.json`` and ``adapter_model.safetensors``, as PEFT does."""
        peft_model: Any = module
        peft_model.save_pretrained(str(folder))
