"""Prefix tuning (Li and Liang 2021) through PEFT: trainable keys and values before those of the input."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PositiveFloat, PositiveInt, SerializerFunctionWrapHandler, model_serializer

from cotune.exceptions import InputError
from cotune.training.config import TrainingConfig
from cotune.training.methods._change import unchanged
from cotune.training.methods._method import Attached, Method, Stage

if TYPE_CHECKING:
    from cotune.models import LanguageModel


class Prefix(Method):
    """Trainable keys and values in every layer, one prefix for all tasks of a run; the base is frozen."""

    trains: ClassVar[tuple[str, ...]] = ("prefix",)
    sized_by: ClassVar[str | None] = "prefix_length"

    prefix_length: PositiveInt = 100
    """Virtual tokens of the prefix."""
    prefix_learning_rate: PositiveFloat | None = None
    """Its peak learning rate; by default that of the run, which suits weights more than keys and values."""
    projection: bool = False
    """Whether the prefix is trained through a two-layer perceptron, which is dropped when it is saved."""

    stage_options: ClassVar[Mapping[str, str]] = {"learning_rate": "prefix_learning_rate"}

    @model_serializer(mode="wrap")
    def _without_the_unsaid(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The hashes of runs are older than the option.
        plain: dict[str, Any] = serialize(self)
        return {k: v for k, v in plain.items() if k != "prefix_learning_rate" or v is not None}

    def stages(self, steps: int, training: TrainingConfig, tasks: Sequence[str] = ()) -> tuple[Stage, ...]:
        """Return the one stage, at the learning rate of the prefix if it has one."""
        if self.prefix_learning_rate is not None:
            training = training.model_copy(update={"learning_rate": self.prefix_learning_rate})
        return super().stages(steps, training, tasks)

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Put a fresh prefix on the base; leaving the context takes it off.

        While it is there every example has its own row: PEFT's prefix takes no masks of packed rows.

        Raises
        ------
        InputError
            If the model has no more positions than the prefix takes, no heads that PEFT knows of, or does not
            take the keys and values that PEFT makes for them.
        """
        from peft import PrefixTuningConfig, TaskType, get_peft_model

        from cotune.models.soft_prompt import check_length

        check_length(model, self.prefix_length, "prefix_length")
        config = PrefixTuningConfig(
            task_type=TaskType.SEQ_2_SEQ_LM if model.seq2seq else TaskType.CAUSAL_LM,
            num_virtual_tokens=self.prefix_length,
            prefix_projection=self.projection,
            encoder_hidden_size=model.base.config.get_text_config().hidden_size,
        )
        with warnings.catch_warnings():
            # PEFT asks transformers for an attribute by its old name.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            try:
                module: Any = get_peft_model(model.base, config)
            except ValueError as error:
                raise _unfit(model, "tell PEFT the attention heads that it would stand in") from error
            _check_reached(model, module)
        module.register_forward_pre_hook(_without_positions, with_kwargs=True)

        def write(folder: Path) -> None:
            module.save_pretrained(str(folder))

        try:
            with model.one_example_a_row():
                parts = {"prefix": tuple(p for p in module.parameters() if p.requires_grad)}
                yield Attached(module.eval(), parts, write, weight_change=unchanged)
        finally:
            model.base.eval()


def _check_reached(model: LanguageModel, module: Any) -> None:
    """Try two tokens under it: heads may be shared otherwise than PEFT thinks, or layers have none."""
    import torch

    from cotune.models.exactness import REFUSALS

    if model.device.type == "meta":
        return
    token = torch.full((1, 2), model.pad_token, device=model.device)
    inputs = {"input_ids": token, "attention_mask": torch.ones_like(token)}
    if model.seq2seq:
        inputs["decoder_input_ids"] = token
    try:
        with torch.enable_grad():
            reached = module.eval()(**inputs).logits.requires_grad
    except REFUSALS as error:
        raise _unfit(model, "take the keys and values that PEFT makes for it") from error
    if not reached:
        raise _unfit(model, "attend to the keys and values that PEFT makes for it")


def _unfit(model: LanguageModel, lack: str) -> InputError:
    kind = model.base.config.model_type
    return InputError(
        f"A prefix does not fit the model: its architecture ({kind}) does not {lack}; use another method, "
        "such as lora or prompt."
    )


def _without_positions(
    _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Leave the positions to the model, which counts them from the prefix's end."""
    return args, {name: value for name, value in kwargs.items() if name != "position_ids"}
