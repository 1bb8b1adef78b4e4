"""The ways to tune a model's weights, alone or under a soft prompt."""

from __future__ import annotations

from cotune._registry import Registry
from cotune.training.methods._method import Method
from cotune.training.methods.full import Full
from cotune.training.methods.lora import Lora

WEIGHTS: Registry[Method] = Registry(
    Method,
    key="name",
    classes={
        "full": Full,
        "lora": Lora,
    },
)
"""The names that the option ``weights`` of a method may have."""
