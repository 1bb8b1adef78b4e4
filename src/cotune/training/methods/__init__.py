"""Training methods, one file each; a new one is a file and a line in :data:`METHODS`."""

from __future__ import annotations

from cotune._registry import Registry
from cotune.training.methods._method import Attached, Method, Stage, tasks_seen
from cotune.training.methods.full import Full
from cotune.training.methods.lora import Lora
from cotune.training.methods.lora_first import LoraFirst
from cotune.training.methods.prefix import Prefix
from cotune.training.methods.promot import Joint, Promot, RandomPrompt
from cotune.training.methods.prompt import Prompt

METHODS: Registry[Method] = Registry(
    Method,
    key="name",
    group="cotune.methods",
    classes={
        "full": Full,
        "joint": Joint,
        "lora": Lora,
        "lora_first": LoraFirst,
        "prefix": Prefix,
        "promot": Promot,
        "prompt": Prompt,
        "random_prompt": RandomPrompt,
    },
)
"""The names a study file may write under ``method``."""

__all__ = [
    "METHODS",
    "Attached",
    "Full",
    "Joint",
    "Lora",
    "LoraFirst",
    "Method",
    "Prefix",
    "Promot",
    "Prompt",
    "RandomPrompt",
    "Stage",
    "tasks_seen",
]
