"""The run store: finished runs are facts, kept under the hash of all that determines them."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotune.exceptions import InputError
from cotune.studies.engine._runs import RunRecord
from cotune.training.learner import Score

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL,
    scores TEXT NOT NULL,
    losses TEXT NOT NULL,
    features BLOB,
    tokens INTEGER,
    error TEXT,
    seconds REAL NOT NULL,
    cpu_seconds REAL NOT NULL,
    peak_bytes INTEGER NOT NULL,
    finished TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    payload TEXT
)
"""
_COLUMNS = (
    "key, kind, identity, scores, losses, features, payload, tokens, error, seconds, cpu_seconds, peak_bytes"
)


class RunStore:
    """Runs in one SQLite file. A run is there whole or not at all, whenever the process is killed.

    Parameters
    ----------
    path : Path
        The file, made if missing.

    Raises
    ------
    InputError
        If the file is not a run store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            # A commit returns when the run is on the disk: a power cut loses at most the runs in flight.
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(_SCHEMA)
            self._db.execute(f"SELECT {_COLUMNS} FROM runs LIMIT 0")
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path} is not a run store ({error}); move it away to start afresh.") from error

    def get(self, key: str) -> RunRecord | None:
        """Return the record under a key, if there is one."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM runs WHERE key = ?", (key,)).fetchone()
        return None if row is None else _record(row)

    def keys(self) -> set[str]:
        """Return the keys of all records."""
        return {key for (key,) in self._db.execute("SELECT key FROM runs")}

    def __iter__(self) -> Iterator[RunRecord]:
        """Iterate over all records in the order they were finished."""
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY rowid"):
            yield _record(row)

    def __len__(self) -> int:
        """Count the records."""
        return int(self._db.execute("SELECT count(*) FROM runs").fetchone()[0])

    def put(self, records: Iterable[RunRecord]) -> None:
        """Store records, all in one transaction; a record under a key that is taken replaces it."""
        marks = ", ".join("?" * len(_COLUMNS.split(",")))
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                f"INSERT OR REPLACE INTO runs ({_COLUMNS}) VALUES ({marks})", map(_row, records)
            )

    def forget(self, keys: Iterable[str]) -> None:
        """Remove records, so that their runs are done again."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM runs WHERE key = ?", ((key,) for key in keys))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


@contextmanager
def open_store(path: Path) -> Iterator[RunStore]:
    """Open a run store and close it when the block ends."""
    store = RunStore(path)
    try:
        yield store
    finally:
        store.close()


def _row(record: RunRecord) -> tuple[object, ...]:
    return (
        record.key,
        record.kind,
        json.dumps(record.identity),
        json.dumps({task: score.to_dict() for task, score in record.scores.items()}),
        json.dumps(record.losses),
        _pack(record.arrays) if record.arrays else None,
        None if record.payload is None else json.dumps(record.payload),
        record.tokens,
        record.error,
        record.seconds,
        record.cpu_seconds,
        record.peak_bytes,
    )


def _record(row: tuple[object, ...]) -> RunRecord:
    key, kind, identity, scores, losses, arrays, payload, tokens, error, seconds, cpu_seconds, peak = row
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


def _pack(arrays: Mapping[str, NDArray[np.floating]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return stream.getvalue()


def _unpack(data: bytes) -> dict[str, NDArray[np.floating]]:
    return dict(np.load(io.BytesIO(data), allow_pickle=False))
