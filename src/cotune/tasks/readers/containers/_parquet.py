"""Rows of Parquet, with the names of class labels that the `datasets` library keeps in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cotune.exceptions import InputError
from cotune.tasks.readers.containers._table import Tables, numbered


def read_parquet(path: Path, split: str) -> Tables:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        labels = _class_labels(file.schema_arrow)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error).partition(chr(10))[0]}.") from error
    rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
    return Tables({split: numbered(f"{path}, row", with_names(rows, labels))}, str(path))


def _class_labels(schema: Any) -> dict[str, list[str]]:
    if b"huggingface" not in (schema.metadata or {}):
        return {}
    import datasets

    return class_labels(datasets.Features.from_arrow_schema(schema))


def class_labels(features: Any) -> dict[str, list[str]]:
    """Return the names of the values of every column of class labels."""
    return {name: feature.names for name, feature in (features or {}).items() if hasattr(feature, "names")}


def with_names(rows: Iterable[dict[str, Any]], labels: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    """Yield rows with the names of class labels in place of their numbers; -1 stands for none."""
    for row in rows:
        named = {
            name: names[row[name]] if isinstance(row[name], int) and 0 <= row[name] < len(names) else None
            for name, names in labels.items()
            if name in row
        }
        yield row | named
