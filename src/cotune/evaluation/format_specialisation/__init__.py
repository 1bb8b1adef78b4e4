"""Format specialisation: whether a tuned model gives every answer in the format of its target task.

Section 3 of the ProMoT paper: the share of answers that are labels of the target task, and the cosine
between the gradient of the task and the gradient of its format alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use
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

_HOMES = {  # gradients need torch, which those who only count answers do not pay for
    "gradient_alignment": "_alignment",
    "module_groups": "_groups",
}

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
