"""Weights of 8 and 4 bits through bitsandbytes, frozen and prepared for adapters as PEFT prepares them."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

from cotune.exceptions import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Bits: TypeAlias = Literal["int8", "nf4"]


def is_quantized(precision: str) -> TypeGuard[Bits]:
    """Whether a precision is one of quantised weights."""
    return precision in ("int8", "nf4")


def check_quantized(precision: Bits, device: str) -> None:
    """Refuse what cannot be had here.

    Raises
    ------
    InputError
        If bitsandbytes is missing, or has nothing for the device.
    """
    if find_spec("bitsandbytes") is None:
        raise InputError(
            f"precision: {precision} needs bitsandbytes, which is not installed: pip install "
            "'cotune[quantized]'."
        )
    if device.startswith("mps"):
        raise InputError(
            f"precision: {precision} is not to be had on Apple's GPUs, for which bitsandbytes has nothing; "
            "give bf16 or fp32."
        )


def computing_in(device: str) -> torch.dtype:
    """Return the type that quantised weights are multiplied in."""
    import torch

    native = device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32


def loading_options(precision: Bits, device: str) -> dict[str, Any]:
    """Return the arguments by which transformers quantises as it loads."""
    import torch
    from transformers import BitsAndBytesConfig

    if precision == "int8":
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=computing_in(device),
        )
    place = device if ":" in device or device == "cpu" else torch.device(device, 0)
    return {"quantization_config": config, "device_map": {"": place}}


def prepared(base: PreTrainedModel) -> PreTrainedModel:
    """Return a quantised model with the rest of it (norms, embeddings) in float32, as adapters want it."""
    for module in base.modules():
        # On processors bitsandbytes repacks weights in place when they are first read without gradients: what
        # widths that are no multiple of 32 do not survive, and trains on by what the others became.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    from peft import prepare_model_for_kbit_training

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)  # PEFT asks by an old name
        ready: PreTrainedModel = prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    return ready


def refuse_training(model: Any, method: str) -> None:
    """Refuse a method that trains weights which are quantised.

    Raises
    ------
    InputError
        If they are.
    """
    if getattr(model, "is_quantized", False):
        raise InputError(
            f"The method {method} trains the model's own weights, which its precision keeps in 8 or 4 bits; "
            "take lora, or precision bf16 or fp32."
        )
