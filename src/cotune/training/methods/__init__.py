"""Training methods, one folder each; a new one is a folder and a line in :data:`METHODS`."""

from __future__ import annotations

from typing import Any

from cotune.training.methods._method import Attached, Method, Stage
from cotune.training.methods.full import Full
from cotune.training.methods.joint import Joint
from cotune.training.methods.lora import Lora
from cotune.training.methods.prefix import Prefix
from cotune.training.methods.promot import Promot
from cotune.training.methods.prompt import Prompt
from cotune.training.methods.random_prompt import RandomPrompt

METHODS: dict[str, type[Method]] = {
    "full": Full,
    "joint": Joint,
    "lora": Lora,
    "prefix": Prefix,
    "promot": Promot,
    "prompt": Prompt,
    "random_prompt": RandomPrompt,
}
"""The names a study file may write under ``method``."""


def method_options(method: Method) -> dict[str, Any]:
    """Return what a study file would say of a method, with all its options."""
    name = next(name for name, kind in METHODS.items() if type(method) is kind)
    return {"name": name, **method.plain()}


__all__ = [
    "METHODS",
    "Attached",
    "Full",
    "Joint",
    "Lora",
    "Method",
    "Prefix",
    "Promot",
    "Prompt",
    "RandomPrompt",
    "Stage",
    "method_options",
]
