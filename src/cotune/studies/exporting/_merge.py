"""A model whose adapter is part of its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune.evaluation.adapter_files import ADAPTER
from cotune.evaluation.saved_model import SavedModel, open_saved_model
from cotune.exceptions import InputError
from cotune.models.config import ModelConfig
from cotune.models.loading import hub_options

if TYPE_CHECKING:
    import torch


def merge(name: str, saved: SavedModel, folder: Path, trusted: str | None = None) -> str:
    """Write a model with its adapter in its weights into an existing folder; return what is to be said.

    Code that comes with the base runs where its revision is trusted.

    The sum is taken in float32 and rounded once, to the type of the base's own numbers.

    Raises
    ------
    InputError
        If there is no adapter on weights, or it does not fit the base.
    """
    if saved.weights is None:
        raise InputError(
            f"{name} has no adapter on weights to merge: a soft prompt or prefix stands before the inputs, "
            "and a whole model has weights of its own; export it without --merge."
        )
    config = ModelConfig(
        model=str(saved.base),
        revision=trusted or saved.revision,
        trust_remote_code=trusted is not None,
        precision="fp32",
    )
    model = config.load(Path())
    module: Any = open_saved_model(saved, model).module
    try:
        module.merge_and_unload(safe_merge=True)
    except (ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split()).rstrip(". ")
        raise InputError(f"PEFT does not merge {name}: {reason}.") from error
    kind = _own_type(saved, trusted)
    model.base.to(kind)
    model.save_pretrained(folder)
    said = f"{name}: merged into weights of {str(kind).removeprefix('torch.')}"
    if not saved.has_prompt:
        return said
    if saved.prompt is not None:
        _write_prompt(saved.prompt, folder / "prompt", "..")
    for prompt in saved.prompts.values():
        _write_prompt(prompt, folder / "prompt" / prompt.name, "../..")
    return (
        f"{said}, for all inputs; its soft prompt, for those of {saved.target or 'its task'}, is in prompt/"
    )


def _own_type(saved: SavedModel, trusted: str | None) -> torch.dtype:
    """Return the type in which the base's numbers are stored."""
    import torch
    from transformers import AutoConfig

    options = hub_options(saved.base, trusted or saved.revision, trusted=trusted is not None)
    config = AutoConfig.from_pretrained(str(saved.base), **options)
    kind = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    return kind if isinstance(kind, torch.dtype) else torch.float32


def _write_prompt(prompt: Path, folder: Path, base: str) -> None:
    """Copy a soft prompt, for the model in a folder above."""
    import shutil

    shutil.copytree(prompt, folder)
    file = folder / ADAPTER
    content = {**json.loads(file.read_text(encoding="utf-8")), "base_model_name_or_path": base}
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
