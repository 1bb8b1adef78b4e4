"""What the last stage of a method changed: the weights, what is predicted, the answers.

A score says little of a model that nothing was done to. Beside every result of a tuned model stands how far
its weights, its next-token distributions and its answers are from what the last stage began with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use
from cotune.evaluation.last_stage._types import StageChange, in_words

if TYPE_CHECKING:
    from cotune.evaluation.last_stage._meter import Beginning, Probes, share_changed

__all__ = ["Beginning", "Probes", "StageChange", "in_words", "share_changed"]

_HOMES = {"Beginning": "_meter", "Probes": "_meter", "share_changed": "_meter"}

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
