"""The run store: finished runs are facts, kept under the hash of all that determines them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Container, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cotune.exceptions import InputError
from cotune.findings.wording import count
from cotune.studies.engine._refusals import sqlite_refusal
from cotune.studies.engine._rows import (
    COLUMNS,
    StoredRow,
    StoredRows,
    checksum,
    record_of,
    row_of,
    whole,
)
from cotune.studies.engine._runs import RunRecord

VERSION = 1
"""Of the schema; 0 had no checksums."""
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
    finished TEXT NOT NULL,
    payload TEXT,
    checksum TEXT
)
"""
_NETWORKS = {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3"}
_ERROR = COLUMNS.index("error")
_SECONDS_FOR_OTHERS = 60.0
"""Seconds that another program may keep the file to itself."""


class RunStore:
    """Runs in one SQLite file. A run is there whole or not at all, whenever the process is killed.

    Parameters
    ----------
    path : Path
        The file, made if missing.
    writable : bool
        Whether it is written; otherwise it has to be there, and an older one is read as it is.

    Attributes
    ----------
    damaged : set of str
        Keys of the rows read so far that are not what was written; they count as missing.
    migrated : bool
        Whether an older store was brought to this version: its rows got checksums as they were.

    Raises
    ------
    InputError
        If the file is not a run store, or one of a newer version.
    StorageError
        If the disk refuses it.
    DamageError
        If it is damaged as a whole.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self.path = path
        self.damaged: set[str] = set()
        self.migrated = False
        self._inode: int | None = None
        with self._refusals():
            self._db = _open(path, writable)
            try:
                self._checked = self._prepare(writable)
            except BaseException:
                self._db.close()
                raise
        self._inode = _inode(path)

    def _prepare(self, writable: bool) -> bool:
        """Bring the file to this version, if it is written; whether its rows have checksums."""
        version = self._version()
        if version > VERSION:
            raise InputError(
                f"{self.path} was written by a newer cotune (version {version} of the store, this one knows "
                f"{VERSION}): use that one, or name another folder with --folder."
            )
        if writable:
            # A commit returns when the run is on the disk: a power cut loses at most the runs in flight.
            self._db.execute("PRAGMA synchronous = FULL")
            if not _on_network(self.path):
                # Who looks on waits for nobody then; where the file system cannot, SQLite stays as it is.
                with suppress(sqlite3.OperationalError):
                    self._db.execute("PRAGMA journal_mode = WAL").fetchall()
            if version < VERSION:
                self._migrate()
                version = VERSION
        self._db.execute(f"SELECT {', '.join(COLUMNS)} FROM runs LIMIT 0")
        return version >= 1

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> None:
        with self._transaction():
            if self._version() == VERSION:  # another process was first
                return
            self._db.execute(_SCHEMA)
            if "checksum" not in {row[1] for row in self._db.execute("PRAGMA table_info(runs)")}:
                self._db.execute("ALTER TABLE runs ADD COLUMN checksum TEXT")
            for number, row, _ in self._rows("NULL"):
                if whole(row, None):
                    told = (checksum(row), number)
                    self._db.execute("UPDATE runs SET checksum = ? WHERE rowid = ?", told)
                self.migrated = True
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def get(self, key: str) -> RunRecord | None:
        """Return the record under a key, if there is one and it is what was written."""
        with self._refusals():
            found = next(self._rows(where="WHERE key = ?", values=(key,)), None)
        if found is None:
            return None
        _, row, noted = found
        if row[0] != key or not self._whole(row, noted):
            self.damaged.add(key)
            return None
        return record_of(row)

    def keys(self) -> set[str]:
        """Return the keys of all records."""
        with self._refusals():
            return {key for (key,) in self._db.execute("SELECT key FROM runs")}

    def __iter__(self) -> Iterator[RunRecord]:
        """Iterate over all records in the order they were finished."""
        return (record_of(row) for row, _ in self._sound())

    def rows(self) -> StoredRows:
        """Check all rows, and return what stands for each that is whole."""
        return {str(row[0]): stored for row, stored in self._sound()}

    def read(self, keys: Container[str]) -> tuple[dict[str, RunRecord], StoredRows]:
        """Check all rows, and return the records under some keys, and what :meth:`rows` does."""
        records: dict[str, RunRecord] = {}
        rows: dict[str, StoredRow] = {}
        for row, stored in self._sound():
            key = str(row[0])
            rows[key] = stored
            if key in keys:
                records[key] = record_of(row)
        return records, rows

    def _sound(self) -> Iterator[tuple[tuple[object, ...], StoredRow]]:
        """Go through all rows that are what was written, in the order in which their runs were finished."""
        with self._refusals():
            for _, row, noted in self._rows():
                if self._whole(row, noted):
                    error = None if row[_ERROR] is None else str(row[_ERROR])
                    yield row, StoredRow(noted or checksum(row), error)
                else:
                    self.damaged.add(str(row[0]))

    def __len__(self) -> int:
        """Count the records."""
        with self._refusals():
            return int(self._db.execute("SELECT count(*) FROM runs").fetchone()[0])

    def put(self, records: Iterable[RunRecord]) -> None:
        """Store records, all in one transaction; a record under a key that is taken replaces it.

        Raises
        ------
        StorageError
            If the disk refuses it, or the file was taken away meanwhile.
        """
        columns = (*COLUMNS, "checksum")
        marks = ", ".join("?" * len(columns))
        with self._refusals(), self._transaction():
            self._db.executemany(
                f"INSERT OR REPLACE INTO runs ({', '.join(columns)}) VALUES ({marks})", map(row_of, records)
            )

    def forget(self, keys: Iterable[str]) -> None:
        """Remove records, so that their runs are done again."""
        with self._refusals(), self._transaction():
            self._db.executemany("DELETE FROM runs WHERE key = ?", ((key,) for key in keys))

    def unsound(self) -> list[int]:
        """Return the numbers of the rows that are not what was written.

        Raises
        ------
        DamageError
            If more is damaged than rows.
        """
        with self._refusals():
            (told,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            if told != "ok":
                raise sqlite3.DatabaseError(told)
            return [number for number, row, noted in self._rows() if not self._whole(row, noted)]

    def drop(self, numbers: Iterable[int]) -> None:
        """Remove rows by their numbers."""
        with self._refusals(), self._transaction():
            self._db.executemany("DELETE FROM runs WHERE rowid = ?", ((number,) for number in numbers))

    def close(self) -> None:
        """Close the file; at rest it is all there is of the store."""
        with suppress(sqlite3.Error):  # where another process has it open, the last to close does it
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA journal_mode = DELETE").fetchall()
        self._db.close()

    def _rows(
        self, noted: str = "", where: str = "ORDER BY rowid", values: tuple[object, ...] = ()
    ) -> Iterator[tuple[int, tuple[object, ...], str | None]]:
        """Read rows: their number, their columns, and the checksum noted with them."""
        noted = noted or ("checksum" if self._checked else "NULL")
        for row in self._db.execute(f"SELECT rowid, {', '.join(COLUMNS)}, {noted} FROM runs {where}", values):
            yield row[0], row[1:-1], row[-1]

    def _whole(self, row: tuple[object, ...], noted: str | None) -> bool:
        return whole(row, (noted or "") if self._checked else None)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # SQLite would go on writing a file that has no name any more.
        if self._inode is not None and _inode(self.path) != self._inode:
            raise sqlite_refusal(None, self.path)
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise sqlite_refusal(error, self.path) from error


@contextmanager
def open_store(path: Path, *, writable: bool = True) -> Iterator[RunStore]:
    """Open a run store and close it when the block ends."""
    with closing(RunStore(path, writable=writable)) as store:
        yield store


def is_older(path: Path) -> bool:
    """Whether there is a store whose rows have no checksums yet."""
    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        with closing(_open(path, writable=False)) as db:
            version: int = db.execute("PRAGMA user_version").fetchone()[0]
            return version < 1 and bool(db.execute("PRAGMA table_info(runs)").fetchall())
    except sqlite3.Error:
        return False  # what is wrong is told when it is opened


def damaged_rows(store: RunStore) -> list[str]:
    """Say which rows that were read are not what was written; nothing where all are."""
    if not store.damaged:
        return []
    one = len(store.damaged) == 1
    rows, verb, runs = (
        count(len(store.damaged), "row"),
        "is" if one else "are",
        "its run" if one else "their runs",
    )
    return [f"{rows} of {store.path} {verb} damaged and left out: 'cotune run' does {runs} again"]


def _open(path: Path, writable: bool) -> sqlite3.Connection:
    mode = "rwc" if writable else "ro"
    place = f"{Path(os.path.abspath(path)).as_uri()}?mode={mode}"
    db = sqlite3.connect(place, uri=True, timeout=_SECONDS_FOR_OTHERS, isolation_level=None)
    db.text_factory = _text
    return db


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


def _text(content: bytes) -> str:
    """Read text that may be damaged: that is for the checksum to find."""
    return content.decode(errors="surrogateescape")


def _on_network(path: Path) -> bool:
    """Whether a file lies where several machines may write, who share no memory for a write-ahead log."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return False
    place = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts:
        before, _, after = line.partition(" - ")
        mount = before.split()[4].encode().decode("unicode_escape")
        if (place + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, after.split()[0]
    return kind in _NETWORKS or kind.startswith("fuse.sshfs")
