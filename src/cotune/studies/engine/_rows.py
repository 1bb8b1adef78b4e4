"""Records as rows of the store, each with the checksum of all it holds."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cotune.studies.engine._runs import RunRecord
from cotune.training.learner import Score

COLUMNS = (
    "key",
    "kind",
    "identity",
    "scores",
    "losses",
    "features",
    "payload",
    "tokens",
    "error",
    "seconds",
    "cpu_seconds",
    "peak_bytes",
    "finished",
)
"""What the checksum is of, in this order."""


class StoredRow(NamedTuple):
    """What is to be known of a row that is what was written, without reading what was scored."""

    checksum: str
    error: str | None


StoredRows: TypeAlias = Mapping[str, StoredRow]
"""Rows by their keys."""


def hash_rows(rows: Iterable[tuple[str, StoredRow]]) -> bytes:
    """Hash which rows are stored and what is in them, by their keys and checksums, in the order given."""
    digest = hashlib.sha256()
    for key, row in rows:
        digest.update(f"{key} {row.checksum}\n".encode(errors="surrogatepass"))
    return digest.digest()


def row_of(record: RunRecord) -> tuple[object, ...]:
    """Return the columns of a record, the checksum last."""
    row = (
        record.key,
        record.kind,
        json.dumps(record.identity),
        json.dumps({task: score.to_dict() for task, score in record.scores.items()}),
        json.dumps(record.losses),
        _pack(record.arrays) if record.arrays else None,
        None if record.payload is None else json.dumps(record.payload),
        record.tokens,
        record.error,
        float(record.seconds),
        float(record.cpu_seconds),
        record.peak_bytes,
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return (*row, checksum(row))


def checksum(row: Sequence[object]) -> str:
    """Hash the columns of a row, each with its type and length."""
    parts: list[bytes] = []
    for value in row:
        content = value if isinstance(value, bytes) else repr(value).encode(errors="surrogatepass")
        parts += (f"{type(value).__name__} {len(content)} ".encode(), content)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def record_of(row: Sequence[Any]) -> RunRecord:
    """Return the record of a row's columns."""
    key, kind, identity, scores, losses, arrays, payload, tokens, error, seconds, cpu_seconds, peak, _ = row
    return RunRecord(
        key=str(key),
        kind=str(kind),
        identity=json.loads(str(identity)),
        scores={task: Score.from_dict(score) for task, score in json.loads(str(scores)).items()},
        losses=tuple(json.loads(str(losses))),
        arrays=_unpack(arrays) if isinstance(arrays, bytes) else {},
        payload=None if payload is None else json.loads(str(payload)),
        tokens=tokens if isinstance(tokens, int) else None,
        error=None if error is None else str(error),
        seconds=float(str(seconds)),
        cpu_seconds=float(str(cpu_seconds)),
        peak_bytes=int(str(peak)),
    )


def whole(row: Sequence[Any], noted: str | None) -> bool:
    """Whether a row is what was written: by its checksum, or of an older store by what it holds."""
    if noted is not None:
        return checksum(row) == noted
    try:
        record_of(row)
    except (ValueError, TypeError, KeyError, AttributeError, EOFError, OSError, zipfile.BadZipFile):
        return False
    return True


def _pack(arrays: Mapping[str, NDArray[np.floating]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return stream.getvalue()


def _unpack(data: bytes) -> dict[str, NDArray[np.floating]]:
    return dict(np.load(io.BytesIO(data), allow_pickle=False))
