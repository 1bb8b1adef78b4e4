"""Training methods, one folder each; a new one is a folder and a line in :data:`METHODS`."""

from __future__ import annotations

from cotune.training.methods._method import Method
from cotune.training.methods.lora import Lora

METHODS: dict[str, type[Method]] = {"lora": Lora}
"""The names a study file may write under ``method``."""

__all__ = ["METHODS", "Lora", "Method"]
