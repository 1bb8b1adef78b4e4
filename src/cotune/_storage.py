"""What a disk refuses, in a sentence: which path, why, and what helps."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cotune.exceptions import CotuneError, StorageError

_KEPT = "what was finished is kept, and the same command goes on"
_WHY = {
    errno.ENOSPC: ("no room is left on its disk", f"make room; {_KEPT}"),
    errno.EDQUOT: ("the quota of its disk is used up", f"make room; {_KEPT}"),
    errno.EFBIG: ("files may not be so large there", f"raise the limit (ulimit -f); {_KEPT}"),
    errno.EROFS: ("its disk can only be read", "name a folder that can be written"),
    errno.EACCES: ("its rights do not allow it", "change them, or name another folder"),
    errno.EPERM: ("its rights do not allow it", "change them, or name another folder"),
    errno.EIO: ("its disk reports an error", f"see to the disk; {_KEPT}"),
    errno.ESTALE: ("its file system was taken away", f"mount it again; {_KEPT}"),
    errno.EISDIR: ("it is a folder", "take the folder away, or name another path"),
    errno.EEXIST: ("something else is in its place", "take that away, or name another path"),
    errno.ENOTEMPTY: ("a folder with files is in its place", "take that away, or name another path"),
    errno.ENOTDIR: ("a folder of its path is a file", "name another path"),
    errno.ENOENT: (
        "a folder of its path is gone",
        "let folders stand while a command runs, and run it again",
    ),
    errno.ENAMETOOLONG: ("its name is too long", "name another path"),
    errno.EMFILE: ("too many files are open", f"raise the limit (ulimit -n); {_KEPT}"),
    errno.ENFILE: ("too many files are open on the machine", f"close some; {_KEPT}"),
    errno.ENOLCK: ("its file system knows no locks", "name a folder on a disk of this machine"),
}
# Libraries in other languages say in words of their own what the system told them.
_NUMBERED = re.compile(r"\(?os error (\d+)\)?|Os \{ code: (\d+)")
_IN_WORDS = {
    "No space left on device": errno.ENOSPC,
    "Read-only file system": errno.EROFS,
    "File too large": errno.EFBIG,
    "PytorchStreamWriter failed": errno.EIO,
    "inline_container.cc": errno.EIO,
    "iostream error": errno.EIO,
    "file write failed": errno.EIO,
}


def refused(path: Path | str, code: int, *, reading: bool = False) -> StorageError | None:
    """Return the sentence for an error of the system; None if it is none of a disk's.

    Parameters
    ----------
    path : Path or str
        What was to be written.
    code : int
        As of :mod:`errno`.
    reading : bool
        Whether it was to be read.
    """
    if code not in _WHY:
        return None
    why, remedy = _WHY[code]
    return StorageError(f"{path} cannot be {'read' if reading else 'written'}: {why}; {remedy}.")


def explained(error: BaseException, path: Path | str) -> StorageError | None:
    """Return what a library's error says of a disk, in a sentence; None if it is about something else."""
    code = _code(error)
    if code is None:
        return None
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if named is not None and not os.path.dirname(os.fsdecode(named)):
        named = None  # in a folder that is removed, errors name a file without saying where it lies
    if code == errno.EIO and not isinstance(error, OSError) and _is_full(Path(path)):
        code = errno.ENOSPC  # the writer of checkpoints says that it failed, and not why
    return refused(path if named is None else os.fsdecode(named), code)


def refused_by_system(error: Exception) -> StorageError | None:
    """Return what the system says of a path, in a sentence; None of errors of other sorts."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    return explained(error, os.fsdecode(error.filename))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in a sentence what a disk refuses while the block writes a path.

    Raises
    ------
    StorageError
        With path, reason and remedy.
    """
    try:
        yield
    except CotuneError:
        raise
    except Exception as error:
        told = explained(error, path)
        if told is None:
            raise
        raise told from error


def _code(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    text = str(error)
    numbered = _NUMBERED.search(text)
    if numbered is not None:
        return int(numbered[1] or numbered[2])
    return next((code for words, code in _IN_WORDS.items() if words in text), None)


def _is_full(path: Path) -> bool:
    """Whether hardly anything more goes onto a path's disk."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize < 1 << 20
