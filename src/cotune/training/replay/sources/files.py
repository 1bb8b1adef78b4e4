"""Text of local files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import PositiveInt

from cotune.exceptions import InputError
from cotune.tasks.readers._files import read_json_lines, visible
from cotune.tasks.readers._rows import check_unicode
from cotune.training.replay.sources._source import Document, TextSource

_SUFFIXES = (".txt", ".jsonl")


class TextFiles(TextSource):
    """A file, or all of a folder and its subfolders: a ``.txt`` is a document, a line of ``.jsonl`` too."""

    path: Path
    """A .txt or .jsonl file in UTF-8, or a folder of them."""
    field: str = "text"
    """The field of JSON lines that holds the text."""
    max_documents: PositiveInt | None = None
    """The first so many are taken; null for all."""

    def documents(self, base: Path) -> Iterator[Document]:
        """Read the files in the order of their names."""
        left = self.max_documents
        for file in self._files(base / self.path.expanduser()):
            for text in self._texts(file):
                if left is not None:
                    if left == 0:
                        return
                    left -= 1
                yield Document(text)

    def _files(self, path: Path) -> list[Path]:
        if path.is_file() and path.suffix in _SUFFIXES:
            return [path]
        files = [file for suffix in _SUFFIXES for file in visible(path, f"**/*{suffix}") if file.is_file()]
        if not files:
            raise InputError(
                f"The path '{path}' is no {' or '.join(_SUFFIXES)} file and no folder with such; give one to "
                "replay text from."
            )
        return sorted(files)

    def _texts(self, file: Path) -> Iterator[str]:
        if file.suffix == ".txt":
            try:
                yield file.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError:
                raise InputError(f"{file} is not UTF-8 text, which text to replay has to be.") from None
            return
        for where, row in read_json_lines(file):
            if isinstance(row, InputError):
                raise row
            if not isinstance(row.get(self.field), str):
                raise InputError(
                    f"{where} has no text in the field '{self.field}'; its fields are: {', '.join(row)}."
                )
            check_unicode(where, row[self.field])
            yield row[self.field]
