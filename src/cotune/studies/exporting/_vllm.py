"""What vLLM serves: LoRAs beside one base, each by its name."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODULES = "lora-modules.txt"
"""The file with the arguments of ``--lora-modules``, one a line."""

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that ``--max-lora-rank`` takes."""


def obstacle(config: Mapping[str, Any]) -> str | None:
    """Say why vLLM does not serve a PEFT adapter as it was trained; None where it does.

    What it does not know of an adapter's configuration it passes over: other ranks or scales of single
    matrices would be served at a wrong scale.
    """
    if config.get("peft_type") != "LORA":
        return f"it is of the kind {config.get('peft_type')}, and vLLM serves LoRAs"
    if config.get("task_type") == "SEQ_2_SEQ_LM":
        return "it is on an encoder-decoder model, whose LoRAs vLLM does not serve"
    for option, words in (
        ("use_dora", "DoRA"),
        ("modules_to_save", "whole modules (modules_to_save)"),
        ("rank_pattern", "a rank_pattern"),
        ("alpha_pattern", "an alpha_pattern"),
        ("lora_bias", "biases"),
        ("trainable_token_indices", "single tokens"),
        ("target_parameters", "target_parameters"),
    ):
        if config.get(option):
            return f"it has {words}, which vLLM does not serve; export it with --merge"
    if config.get("bias", "none") != "none":
        return "it has biases, which vLLM does not serve; export it with --merge"
    if int(config["r"]) > _RANKS[-1]:
        return f"its rank is above {_RANKS[-1]}, the largest that vLLM serves; export it with --merge"
    return None


def modules_text(adapters: Mapping[str, Path]) -> str:
    """Return the arguments of ``--lora-modules``, one a line."""
    return "".join(f"{name}={path}\n" for name, path in adapters.items())


def command(base: str, adapters: Mapping[str, Path], ranks: Mapping[str, int]) -> str:
    """Return the command that serves adapters beside their base."""
    rank = next(size for size in _RANKS if size >= max(ranks[name] for name in adapters))
    modules = " ".join(shlex.quote(f"{name}={path}") for name, path in adapters.items())
    return (
        f"vllm serve {shlex.quote(base)} --enable-lora --max-lora-rank {rank} --max-loras {len(adapters)} "
        f"--lora-modules {modules}"
    )
