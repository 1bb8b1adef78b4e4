"""ProMoT with a LoRA in the place of the soft prompt: an ablation of the ICLR version of the paper."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PositiveFloat, PositiveInt, field_validator

from cotune.training.config import TrainingConfig
from cotune.training.methods._method import Attached, Method, Stage
from cotune.training.methods.full import Full
from cotune.training.methods.lora import Lora, without_adapter

if TYPE_CHECKING:
    from cotune.models import LanguageModel

_RATIO = 5
"""Steps of the first stage to one of the second, as ProMoT's."""


class LoraFirst(Method):
    """Two stages: a LoRA on the frozen model takes the format up, the weights under it learn the rest.

    The LoRA belongs to the targets, as ProMoT's prompt does: it is taken off for inputs of other tasks.
    Several targets share one. The second stage tunes every weight, as in the paper, which finds this worse
    than a soft prompt: a LoRA can learn more than the format, and what it learns the weights need not.
    """

    stage_options: ClassVar[Mapping[str, str]] = {
        "learning_rate": "first_learning_rate",
        "checkpoint_every": "first_checkpoint_every",
    }

    lora: Lora = Lora()
    """The LoRA of the first stage: {r: 8, ...}."""
    first_steps: PositiveInt | None = None
    """Steps of the first stage; by default five times those of the second."""
    first_learning_rate: PositiveFloat = 1e-3
    """Peak learning rate of the first stage; the rest of its recipe is that of the run."""
    first_checkpoint_every: PositiveInt | None = None
    """Steps between checkpoints of the first stage; by default those of the run."""

    @field_validator("lora")
    @classmethod
    def _nothing_but_its_matrices(cls, lora: Lora) -> Lora:
        if lora.demonstrations:
            raise ValueError(
                f"demonstrations belong beside lora, not in it, got {lora.demonstrations} there."
            )
        for option in ("modules_to_save", "bias", "trainable_token_indices"):
            if lora.options.get(option) not in (None, "none"):
                raise ValueError(f"{option} trains the model's own parts, which are the second stage's.")
        return lora

    @property
    def wants_trial(self) -> bool:
        """Whether the LoRA names parts of a model."""
        return self.lora.wants_trial

    def stages(self, steps: int, training: TrainingConfig, tasks: Sequence[str] = ()) -> tuple[Stage, ...]:
        """Return the two stages."""
        # Parameter scaling and plain text are for the weights, as with a prompt.
        changes: dict[str, Any] = {
            "learning_rate": self.first_learning_rate,
            "scale_parameter": False,
            "replay": None,
        }
        return (
            Stage(
                "lora",
                self.first_steps or _RATIO * steps,
                training.model_copy(update=changes),
                ("lora",),
                checkpoint_every=self.first_checkpoint_every,
            ),
            Stage("weights", steps, training, ("weights",)),
        )

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Put a fresh LoRA on the base, whose weights can be trained; leaving the context takes it off."""
        with Full().attach(model, tasks) as whole, self.lora.attach(model, tasks) as adapter:
            parts = {"lora": adapter.parts["weights"], "weights": whole.parts["weights"]}

            def write(folder: Path) -> None:
                for name in ("lora", "weights"):
                    (folder / name).mkdir()
                adapter.write(folder / "lora")
                _stand_on(folder / "lora", "../weights")
                model.save_pretrained(folder / "weights", _without_adapter(model.base.state_dict()))

            def aside() -> AbstractContextManager[None]:
                return without_adapter(adapter.module)

            attached = Attached(
                adapter.module,
                parts,
                write,
                silent=adapter.silent,
                weight_change=whole.weight_change,
                aside=aside,
            )
            attached.train_only(("lora",))
            yield attached


def _without_adapter(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base's own tensors under their own names."""
    return {name.replace(".base_layer.", "."): value for name, value in state.items() if ".lora_" not in name}


def _stand_on(folder: Path, base: str) -> None:
    file = folder / "adapter_config.json"
    content = {**json.loads(file.read_text(encoding="utf-8")), "base_model_name_or_path": base}
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
