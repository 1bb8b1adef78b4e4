"""The readers and the sources of text a study file may name."""

from __future__ import annotations

from cotune._registry import Registry
from cotune.lab.toy_language import ToyLanguageReader, ToyLanguageText
from cotune.tasks import readers
from cotune.tasks.readers import ReaderConfig
from cotune.training.replay import TEXT_SOURCES

READERS: Registry[ReaderConfig] = readers.READERS.extended({"toy_language": ToyLanguageReader})
"""Those of the tasks room, and the lab's toy language."""

# The recipe of training looks its sources up in this one table; training itself knows nothing of the lab.
TEXT_SOURCES.add("toy_language", ToyLanguageText)
