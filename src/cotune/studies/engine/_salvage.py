"""What can be saved of a run store that SQLite does not read any more."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cotune._files import new_file
from cotune.studies.engine._rows import COLUMNS, record_of, whole
from cotune.studies.engine._runs import RunRecord
from cotune.studies.engine._store import RunStore, open_store

_PAGE = 4096
_HEADER = 100
_SMALLEST_ROW = 64


def salvage(path: Path) -> tuple[int, Path]:
    """Put a new store with all rows that are whole in the place of a damaged one, which is kept beside it.

    Returns
    -------
    saved : int
        Rows saved.
    kept : Path
        Where the damaged file is now.
    """
    kept = path.with_name(f"{path.name}.damaged")
    with new_file(path) as fresh:
        fresh.unlink()
        with open_store(fresh) as store:
            store.put(_rows(path, fresh.parent))
            saved = len(store)
        shutil.copy2(path, kept)
        for name in ("-wal", "-shm", "-journal"):  # they are of the file that is replaced
            path.with_name(path.name + name).unlink(missing_ok=True)
    return saved, kept


def _rows(path: Path, beside: Path) -> Iterator[RunRecord]:
    """Read row after row of a copy, which gets other first bytes where they are spoilt."""
    with tempfile.TemporaryDirectory(dir=beside, prefix=".salvage.", suffix=".new") as folder:
        copy = Path(folder) / path.name
        for name in ("", "-wal"):
            if path.with_name(path.name + name).is_file():
                shutil.copy2(path.with_name(path.name + name), copy.with_name(copy.name + name))
        if not _opens(copy):
            _mend_header(copy, Path(folder))
        found: dict[str, RunRecord] = {}
        with closing(sqlite3.connect(copy)) as db:
            db.text_factory = lambda content: content.decode(errors="surrogateescape")
            for number in range(1, copy.stat().st_size // _SMALLEST_ROW):
                record = _row(db, number)
                if record is not None:
                    found[record.key] = record
        yield from found.values()


def _row(db: sqlite3.Connection, number: int) -> RunRecord | None:
    for noted in ("checksum", "NULL"):  # a store that is older has none
        try:
            row = db.execute(
                f"SELECT {', '.join(COLUMNS)}, {noted} FROM runs WHERE rowid = ?", (number,)
            ).fetchone()
        except sqlite3.OperationalError:
            continue
        except (sqlite3.Error, OverflowError):
            return None
        good = row is not None and whole(row[:-1], row[-1] or ("" if noted == "checksum" else None))
        return record_of(row[:-1]) if good else None
    return None


def _opens(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return False
    return True


def _mend_header(path: Path, folder: Path) -> None:
    """Take the first bytes from a new store: all stores have the same, but for the number of pages."""
    other = folder / "other.sqlite"
    RunStore(other).close()
    header = bytearray(other.read_bytes()[:_HEADER])
    pages = path.stat().st_size // _PAGE
    header[28:32] = pages.to_bytes(4, "big")
    header[92:96] = header[24:28]
    header[32:40] = bytes(8)  # pages that are free are not looked for
    with path.open("r+b") as stream:
        stream.write(header)
