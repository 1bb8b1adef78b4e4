"""What SQLite refuses, in a sentence: which file, why, and what helps."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from cotune._storage import refused
from cotune.exceptions import CotuneError, DamageError, InputError, StorageError

_CODES = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_AUTH: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_NOLFS: errno.EFBIG,
}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT}


def sqlite_refusal(error: sqlite3.Error | None, path: Path) -> CotuneError:
    """Return what is told when SQLite cannot go on.

    Parameters
    ----------
    error : sqlite3.Error or None
        What it said; None if the file was found missing.
    path : Path
        The file.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if path.is_dir():
        return _of_disk(path, errno.EISDIR)
    if error is None or not path.exists():
        if not path.parent.is_dir() or error is None:
            return StorageError(
                f"{path} is gone: it was moved or taken away while the command ran, and with it what it held "
                "and this command cannot bring back; put it back, or run the command again."
            )
        return _of_disk(path, errno.EACCES)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(
            f"{path} is held by another program, such as a viewer of data bases or a copy under way; close "
            "that, and the same command goes on."
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return _of_disk(path, errno.EACCES)
    if code in _CODES:
        return _of_disk(path, _CODES[code])
    if code in _DAMAGE or (type(error) is sqlite3.DatabaseError and code != sqlite3.SQLITE_NOTADB):
        return DamageError(
            f"{path} is damaged ({str(error).splitlines()[-1]}); 'cotune doctor {path.parent} --fix' saves "
            "the runs in it that are whole, and the others are done again."
        )
    if code == sqlite3.SQLITE_NOTADB:
        return DamageError(
            f"{path} is not a run store, or its first bytes are damaged ({error}): if it is not cotune's, "
            "name another folder with --folder; if it is, 'cotune doctor "
            f"{path.parent} --fix' saves what can be."
        )
    return InputError(
        f"{path} is not a run store that this version of cotune reads ({error}); name another folder with "
        "--folder."
    )


def _of_disk(path: Path, code: int) -> StorageError:
    found = refused(path, code)
    assert found is not None
    return found
