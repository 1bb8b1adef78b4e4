"""Text files with an input, a tab and a target in every line."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from cotune.exceptions import InputError
from cotune.tasks import Example
from cotune.tasks.readers import ReaderConfig, Source


class TabsReader(ReaderConfig):
    """Reads a folder of files such as ``category-name.tsv``, a task each."""

    path: Annotated[Path, Field(strict=False)]
    """The folder."""

    def sources(self, base):
        """Return what loads each file."""
        return {file.stem: partial(_load, file) for file in sorted((base / self.path).glob("*.tsv"))}


def _load(file: Path) -> Source:
    lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    odd = next((at for at, parts in enumerate(lines, start=1) if len(parts) != 2), None)
    if odd is not None:
        raise InputError(f"{file}, line {odd}: must have one tab.")
    examples = [Example(text, (target,)) for text, target in lines]
    return Source("", {"train": examples}, "exact_match", category=file.stem.partition("-")[0])
