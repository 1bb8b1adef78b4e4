"""Text of a data set of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, PositiveInt

from cotune.exceptions import InputError
from cotune.training.replay.sources._source import Document, TextSource


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

        local = base / Path(self.path).expanduser()
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
