"""Training methods, one file each; a new one is a file and a line in :data:`METHODS`."""

from __future__ import annotations

from cotune._registry import Registry
from cotune.training.methods._method import Attached, Method, Stage, Terms, tasks_seen
from cotune.training.methods.dft import Dft
from cotune.training.methods.full import Full
from cotune.training.methods.kl_to_base import KlToBase
from cotune.training.methods.lora import Lora
from cotune.training.methods.lora_first import LoraFirst
from cotune.training.methods.prefix import Prefix
from cotune.training.methods.promot import Joint, Promot, RandomPrompt
from cotune.training.methods.prompt import Prompt
from cotune.training.methods.replay import Replay
from cotune.training.methods.self_distillation import SelfDistillation
from cotune.training.methods.value_only import ValueOnly
from cotune.training.methods.wise_ft import WiseFt

METHODS: Registry[Method] = Registry(
    Method,
    key="name",
    group="cotune.methods",
    classes={
        "dft": Dft,
        "full": Full,
        "joint": Joint,
        "kl_to_base": KlToBase,
        "lora": Lora,
        "lora_first": LoraFirst,
        "prefix": Prefix,
        "promot": Promot,
        "prompt": Prompt,
        "random_prompt": RandomPrompt,
        "replay": Replay,
        "self_distillation": SelfDistillation,
        "value_only": ValueOnly,
        "wise_ft": WiseFt,
    },
)
"""The names a study file may write under ``method``."""

__all__ = [
    "METHODS",
    "Attached",
    "Dft",
    "Full",
    "Joint",
    "KlToBase",
    "Lora",
    "LoraFirst",
    "Method",
    "Prefix",
    "Promot",
    "Prompt",
    "RandomPrompt",
    "Replay",
    "SelfDistillation",
    "Stage",
    "Terms",
    "ValueOnly",
    "WiseFt",
    "tasks_seen",
]
