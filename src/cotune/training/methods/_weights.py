"""The ways to tune a model's weights, alone or under a soft prompt."""

from __future__ import annotations

from cotune.training.methods._method import Method
from cotune.training.methods.full import Full
from cotune.training.methods.lora import Lora

WEIGHTS: dict[str, type[Method]] = {"full": Full, "lora": Lora}
"""The names that the option ``weights`` of a method may have."""
