from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cotune._places import expanded
from cotune.exceptions import InputError
from cotune.tasks._task import SPLITS
from cotune.tasks.readers._base import ReaderConfig, Source
from cotune.tasks.readers._rows import Unusable
from cotune.tasks.readers.containers import numbered_rows
from cotune.tasks.readers.templates import TemplateOptions

_BUILDERS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}


class HuggingFaceReader(TemplateOptions, ReaderConfig):
    """Reads one task from a dataset of the Hugging Face hub, or from local files through the same library."""

    path: str = Field(min_length=1)
    """The dataset's name on the hub, or a local folder or file of JSON (lines), CSV or Parquet."""
    config: str | None = None
    """The dataset's configuration, such as "rte" of "nyu-mll/glue"."""
    split: dict[Literal["train", "validation", "test"], str] | None = None
    """The dataset's splits to use as ours; by default those of the same name.

    Slices such as "train[:2000]" are possible.
    """
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    name: str | None = None
    """The task's name; by default the last part of the path, with the configuration."""

    def sources(self, base: Path) -> dict[str, Callable[[], Source]]:
        """Return what loads the data set."""
        path = (base / self.path).resolve()
        last = path.stem if path.suffix in _BUILDERS else path.name
        name = self.name or "_".join(part for part in (last, self.config) if part)
        return {name: partial(self._load, base)}

    def _load(self, base: Path) -> Source:
        tables = self._tables(base)
        wheres = {split: f"The dataset '{self.path}', split {split}" for split in tables}
        rows = {split: numbered_rows(wheres[split], table) for split, table in tables.items()}
        unusable = Unusable()
        splits = unusable.splits(rows, partial(self.examples, unusable=unusable), wheres)
        return Source(
            self.instruction,
            splits,
            self.default_metric,
            format=self.default_format,
            notes=unusable.notes,
            why_metric=self.why_metric,
        )

    def _tables(self, base: Path) -> Mapping[str, Any]:
        import datasets

        where, files = self._location(base)
        try:
            if self.split is None:
                loaded = datasets.load_dataset(where, self.config, data_files=files, revision=self.revision)
            else:
                tables = datasets.load_dataset(
                    where,
                    self.config,
                    data_files=files,
                    revision=self.revision,
                    split=list(self.split.values()),
                )
                return dict(zip(self.split, tables, strict=True))
        except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
            reason = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(".")
            raise InputError(f"The dataset '{self.path}' cannot be loaded: {reason}.") from error
        tables = {split: loaded[split] for split in SPLITS if split in loaded}
        if not tables:
            raise InputError(
                f"The dataset '{self.path}' has no split named {', '.join(SPLITS)}; "
                f"name the ones to use in 'split', out of {', '.join(loaded)}."
            )
        return tables

    def _location(self, base: Path) -> tuple[str, str | None]:
        """Return the dataset or builder to load, and the data file for a builder."""
        local = base / expanded(self.path)
        if not local.is_file():
            return (str(local) if local.is_dir() else self.path), None
        if local.suffix not in _BUILDERS:
            raise InputError(f"The file '{local}' must end in one of {', '.join(_BUILDERS)}.")
        return _BUILDERS[local.suffix], str(local)
