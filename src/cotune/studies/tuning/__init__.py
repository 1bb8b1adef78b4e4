"""Tuning one model on one task: before and after, on disk with a model card.

The names are loaded on first use: only some of them need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotune.studies.tuning._config import TuneConfig
    from cotune.studies.tuning._result import TuneResult
    from cotune.studies.tuning._run import TuneEvents, tune_task
    from cotune.studies.tuning._scores import TuneScores
    from cotune.studies.tuning._tune import tune

_HOMES = {
    "TuneConfig": "_config",
    "TuneEvents": "_run",
    "TuneResult": "_result",
    "TuneScores": "_scores",
    "tune": "_tune",
    "tune_task": "_run",
}

__all__ = ["TuneConfig", "TuneEvents", "TuneResult", "TuneScores", "tune", "tune_task"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
