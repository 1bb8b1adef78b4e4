"""Replay: plain text mixed into instruction tuning, as in pretraining, or examples of other tasks.

A new source of text is a file in ``sources`` and a line in :data:`TEXT_SOURCES`.
"""

from __future__ import annotations

from cotune.training.replay._config import ReplayConfig
from cotune.training.replay._examples import OtherExamples
from cotune.training.replay._windows import TextWindows
from cotune.training.replay.sources import TEXT_SOURCES, Document, TextSource
from cotune.training.replay.span_corruption import corrupt_spans, restore_spans

__all__ = [
    "TEXT_SOURCES",
    "Document",
    "OtherExamples",
    "ReplayConfig",
    "TextSource",
    "TextWindows",
    "corrupt_spans",
    "restore_spans",
]
