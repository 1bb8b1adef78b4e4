"""The readers a study file may name."""

from __future__ import annotations

from cotune.lab.toy_language import ToyLanguageReader
from cotune.tasks import readers
from cotune.tasks.readers import ReaderConfig

READERS: dict[str, type[ReaderConfig]] = {**readers.READERS, "toy_language": ToyLanguageReader}
"""Those of the tasks room, and the lab's toy language."""
