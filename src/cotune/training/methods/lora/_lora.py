from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, PositiveFloat, PositiveInt

from cotune.exceptions import InputError
from cotune.training.methods._method import Attached, Method

if TYPE_CHECKING:
    from cotune.models import LanguageModel


class Lora(Method):
    """A low-rank update ``B A`` beside chosen weight matrices of the frozen base; B starts at zero."""

    sized_by: ClassVar[str | None] = "r"

    r: PositiveInt = 8
    """Rank of the update."""
    alpha: PositiveFloat = 16
    """The update is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the update's input while training."""
    target_modules: tuple[str, ...] | None = None
    """Names of the matrices; by default PEFT's choice for the architecture (queries and values)."""

    def resized(self, size: int) -> Self:
        """Return the LoRA with another rank and an update scaled as before."""
        return self.model_copy(update={"r": size, "alpha": self.alpha * size / self.r})

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
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
            yield _attached(module)
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


def _attached(module: Any) -> Attached:
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}

    def write(folder: Path) -> None:
        module.save_pretrained(str(folder))

    return Attached(
        module,
        {"weights": tuple(trained.values())},
        write,
        # While the matrices B are zero, the update does not depend on A.
        silent=tuple(p for name, p in trained.items() if ".lora_B." not in name),
    )
