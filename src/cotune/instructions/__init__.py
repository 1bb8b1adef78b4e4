"""Instructions for a data set, written by a language model from examples: propose, score, keep.

Automatic prompt engineering (Zhou et al. 2023, arXiv 2211.01910), as AdaGroup makes the instructions of its
multi-instruction tasks. The names that need torch are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cotune.instructions._config import InstructionsConfig
from cotune.instructions._types import ScoredInstruction, instructions_text

if TYPE_CHECKING:
    from cotune.instructions._generate import generate_instructions

__all__ = ["InstructionsConfig", "ScoredInstruction", "generate_instructions", "instructions_text"]


def __getattr__(name: str) -> Any:
    if name == "generate_instructions":
        return importlib.import_module("cotune.instructions._generate").generate_instructions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
