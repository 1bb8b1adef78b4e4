"""Tuning: a method's stages on target tasks, with checkpoints, the best of them, and resuming.

The names are loaded on first use: only some of them need torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cotune.training.tuning._config import PRESETS, Preset, TuningConfig, get_preset, preset_training
from cotune.training.tuning._types import Checkpoint, Tuned, Watcher

if TYPE_CHECKING:
    from cotune.training.tuning._tune import tune

__all__ = [
    "PRESETS",
    "Checkpoint",
    "Preset",
    "Tuned",
    "TuningConfig",
    "Watcher",
    "get_preset",
    "preset_training",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name == "tune":
        from cotune.training.tuning._tune import tune

        return tune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
