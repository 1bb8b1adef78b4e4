"""A toy language: symbolic tasks, and a small ordinary checkpoint that learns them in context."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cotune.lab.toy_language._checkpoint import TOY_CHECKPOINT
from cotune.lab.toy_language._reader import ToyLanguageReader, toy_tasks
from cotune.lab.toy_language._tasks import PRETRAINED, TOY_TASKS, ToyTask
from cotune.lab.toy_language._text import ToyLanguageText

if TYPE_CHECKING:
    from cotune.lab.toy_language._abilities import measure_abilities
    from cotune.lab.toy_language._pretraining import PretrainingConfig, make_model, pretrain
    from cotune.lab.toy_language._tokenizer import make_tokenizer

_HOMES = {
    "PretrainingConfig": "_pretraining",
    "make_model": "_pretraining",
    "make_tokenizer": "_tokenizer",
    "measure_abilities": "_abilities",
    "pretrain": "_pretraining",
}
"""What needs torch or transformers, loaded on first use."""

__all__ = [
    "PRETRAINED",
    "TOY_CHECKPOINT",
    "TOY_TASKS",
    "PretrainingConfig",
    "ToyLanguageReader",
    "ToyLanguageText",
    "ToyTask",
    "make_model",
    "make_tokenizer",
    "measure_abilities",
    "pretrain",
    "toy_tasks",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
