"""Format specialisation: whether a tuned model gives every answer in the format of its target task.

Section 3 of the ProMoT paper: the share of answers that are labels of the target task, and the cosine
between the gradient of the task and the gradient of its format alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cotune.evaluation.format_specialisation._label_share import label_share
from cotune.evaluation.format_specialisation._types import LabelledPrompt, ModuleAlignment

if TYPE_CHECKING:
    from cotune.evaluation.format_specialisation._alignment import gradient_alignment
    from cotune.evaluation.format_specialisation._groups import module_groups

__all__ = [
    "LabelledPrompt",
    "ModuleAlignment",
    "gradient_alignment",
    "label_share",
    "module_groups",
]

_HOMES = {
    "gradient_alignment": "cotune.evaluation.format_specialisation._alignment",
    "module_groups": "cotune.evaluation.format_specialisation._groups",
}


def __getattr__(name: str) -> Any:
    # Gradients need torch, which those who only count answers do not pay for.
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
