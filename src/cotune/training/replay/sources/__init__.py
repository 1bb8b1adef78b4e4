"""Where replayed text comes from, one file a source."""

from __future__ import annotations

from cotune._registry import Registry
from cotune.training.replay.sources._source import Document, TextSource
from cotune.training.replay.sources.files import TextFiles
from cotune.training.replay.sources.huggingface import HuggingFaceText

TEXT_SOURCES: Registry[TextSource] = Registry(
    TextSource,
    key="source",
    group="cotune.text_sources",
    classes={
        "files": TextFiles,
        "huggingface": HuggingFaceText,
    },
)
"""The names a study file may write under ``training.replay.text.source``; other packages add theirs, as the
lab's toy language does for studies."""

__all__ = ["TEXT_SOURCES", "Document", "HuggingFaceText", "TextFiles", "TextSource"]
