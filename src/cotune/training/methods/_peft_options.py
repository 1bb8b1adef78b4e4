"""Options of PEFT's LoRA beside cotune's own: PEFT says what they are, and what it does not take."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from cotune._config import ConfigError, did_you_mean

_RENAMED = {"lora_alpha": "alpha", "lora_dropout": "dropout"}
"""What cotune calls otherwise."""

_FILLED_IN = (
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "peft_type",
    "peft_version",
    "revision",
    "runtime_config",
    "task_type",
)
"""What follows from the model."""

_REFUSED = {
    "alora_invocation_tokens": "it looks into whole prompts, and prompts that begin alike are packed",
    "layer_replication": "it puts layers into the base, which all runs share",
}

_OF_LAYERS = (
    "alpha_pattern",
    "exclude_modules",
    "layers_pattern",
    "layers_to_transform",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
)
"""Options that name parts of a model, and mean nothing without one."""

_PATTERNS = ("rank_pattern", "alpha_pattern")

_STILL_TWO_MATRICES = (
    "alpha_pattern",
    "exclude_modules",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "rank_pattern",
    "use_rslora",
)
"""Options under which all that is trained are the two matrices beside some of the base's."""

_PLAIN_STARTS = (True, False, "gaussian", "orthogonal")


def check_options(options: Mapping[str, Any]) -> None:
    """Check options as far as they can be without a model.

    Raises
    ------
    ConfigError
        If PEFT knows no such option or does not take the value, or cotune cannot honour it.
    """
    from peft import LoraConfig

    known = {field.name for field in fields(LoraConfig)}
    for name in options:
        if name in _RENAMED:
            raise ConfigError((name,), f"is called '{_RENAMED[name]}' here.")
        if name in _FILLED_IN:
            raise ConfigError((name,), "follows from the model; leave it out.")
        if name in _REFUSED:
            raise ConfigError((name,), f"cannot be honoured: {_REFUSED[name]}.")
        if name not in known:
            raise ConfigError((name,), f"unknown key{_near(name, known)}.")
    if options.get("init_lora_weights") == "eva":
        # PEFT would start from other numbers without a word.
        raise ConfigError(("init_lora_weights",), "'eva' looks at data first, which cotune does not show it.")
    _try_on_a_matrix(options)


def _near(name: str, known: set[str]) -> str:
    own = ("r", "alpha", "dropout", "target_modules", "demonstrations")
    return did_you_mean(name, [*own, *sorted(known - {*_RENAMED, *_FILLED_IN, *_REFUSED})]) or (
        "; it is none of PEFT's LoraConfig either"
    )


def _try_on_a_matrix(options: Mapping[str, Any]) -> None:
    """Let PEFT put a LoRA of these options on a matrix, and see that it leaves the matrix as it is."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from torch import nn

    of_any = {name: value for name, value in options.items() if name not in _OF_LAYERS}
    with torch.random.fork_rng([]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matrix = nn.Linear(8, 8)
        before = matrix.weight.detach().clone()
        try:
            LoraConfig(**options, target_modules=["x"])
            small = LoraConfig(**of_any, r=2, target_modules=["x"])
            inject_adapter_in_model(small, nn.ModuleDict({"x": matrix}))
        except (ValueError, TypeError, AttributeError, KeyError, ImportError, RuntimeError) as error:
            culprit = _culprit(options, str(error))
            raise ConfigError((culprit,), f"PEFT does not take it: {_one(error)}") from None
    if not torch.equal(matrix.weight, before):
        start = options.get("init_lora_weights")
        raise ConfigError(
            ("init_lora_weights",),
            f"{start!r} changes the base, which all runs share; starts that leave it are "
            f"{', '.join(map(repr, _PLAIN_STARTS))}.",
        )


def _culprit(options: Mapping[str, Any], reason: str) -> str:
    """Return the option that a reason names, or else the first."""
    return next((name for name in options if name in reason), next(iter(options)))


def _one(error: Exception) -> str:
    """Return an error in one sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text.rstrip('. ')}."


def check_fit(options: Mapping[str, Any], module: Any, adapted: Sequence[str]) -> str | None:
    """Say which part named by an option a model lacks; None where it has all of them.

    PEFT passes over patterns and modules that nothing is called by.
    """
    paths = [path for path, _ in module.base_model.model.named_modules()]
    for option in _PATTERNS:
        for pattern in options.get(option) or ():
            if not any(re.match(rf"(.*\.)?({pattern})$", path) for path in adapted):
                names = ", ".join(dict.fromkeys(path.rpartition(".")[2] for path in adapted))
                return f"no adapted module is called {pattern!r} of method.{option}, unlike {names}"
    for name in options.get("modules_to_save") or ():
        if not any(path == name or path.endswith(f".{name}") for path in paths):
            return f"no module is called {name!r} of method.modules_to_save"
    return None


def shares_passes(options: Mapping[str, Any]) -> bool:
    """Whether what is trained is still two matrices beside some of the base's, as many LoRAs share a pass."""
    start = options.get("init_lora_weights", True)
    return set(options) <= {*_STILL_TWO_MATRICES} and start in _PLAIN_STARTS


def rescaled(options: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Return options for ranks ``factor`` times as large, whose updates are scaled as before."""
    found = dict(options)
    for name, whole in (("rank_pattern", True), ("alpha_pattern", False)):
        if options.get(name):
            sizes = {key: value * factor for key, value in options[name].items()}
            found[name] = {key: max(1, round(size)) if whole else size for key, size in sizes.items()}
    return found
