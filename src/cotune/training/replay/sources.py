"""Where replayed text comes from."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, PositiveInt

from cotune import _places
from cotune._config import Config
from cotune._registry import Registry
from cotune.exceptions import InputError
from cotune.tasks.readers._files import read_json_lines, visible
from cotune.tasks.readers._rows import check_unicode


class Document(NamedTuple):
    """A piece of plain text."""

    text: str
    """What is learned."""
    context: str = ""
    """What stands before it and is only read where documents are windows of their own and the model is
    causal; else it is learned as well."""


class TextSource(Config):
    """Where plain text comes from; its fields are the options."""

    @abstractmethod
    def documents(self, base: Path) -> Iterator[Document]:
        """Read the documents, in a fixed order.

        Parameters
        ----------
        base : Path
            Folder that relative paths start from.

        Raises
        ------
        InputError
            If there is nothing to read, or it cannot be read.
        """

    def files_read(self, base: Path) -> Sequence[Path]:
        """Return the local files and folders that are read, as absolute paths; by default none."""
        return ()

    def fingerprint(self, base: Path) -> str:
        """Hash of all documents."""
        content = hashlib.sha256()
        for document in self.documents(base):
            for part in document:
                content.update(hashlib.sha256(part.encode()).digest())
        return content.hexdigest()


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
        for file in self._files(_places.at(base, self.path)):
            for text in self._texts(file):
                if left is not None:
                    if left == 0:
                        return
                    left -= 1
                yield Document(text)

    def files_read(self, base: Path) -> Sequence[Path]:
        """Return the files."""
        return self._files(_places.named(base, self.path))

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


class HuggingFaceText(TextSource):
    """One column of a split of a data set, read through the ``datasets`` library."""

    path: str = Field(min_length=1)
    """The data set's name on the hub, or a local folder of one."""
    config: str | None = None
    """Its configuration, such as "wikitext-2-raw-v1"."""
    split: str = "train"
    """Its split; a slice such as "train[:1%]" is possible."""
    field: str = "text"
    """The column that holds the text; empty rows are left out."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    max_documents: PositiveInt = 10_000
    """The first so many rows are taken."""

    def documents(self, base: Path) -> Iterator[Document]:
        """Load the data set, once it is asked for, and read its rows in order."""
        import datasets

        local = _places.at(base, self.path)
        where = str(local) if local.is_dir() else self.path
        try:
            table = datasets.load_dataset(where, self.config, split=self.split, revision=self.revision)
        except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
            reason = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(".")
            raise InputError(f"The data set '{self.path}' cannot be loaded: {reason}.") from error
        if self.field not in table.column_names:
            raise InputError(
                f"The data set '{self.path}' has no column '{self.field}'; it has: "
                f"{', '.join(table.column_names)}."
            )
        for row in table.select(range(min(len(table), self.max_documents))):
            if row[self.field].strip():
                yield Document(row[self.field])

    def files_read(self, base: Path) -> Sequence[Path]:
        """Return the folder, if it is a local one."""
        local = _places.named(base, self.path)
        return [local] if local.is_dir() else []


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
