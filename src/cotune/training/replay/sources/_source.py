from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cotune._config import Config


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

    def fingerprint(self, base: Path) -> str:
        """Hash of all documents."""
        content = hashlib.sha256()
        for document in self.documents(base):
            for part in document:
                content.update(hashlib.sha256(part.encode()).digest())
        return content.hexdigest()
