"""Where files are that a command named on another machine: beside what came with the work.

Who does a command's runs where no file system is shared keeps copies of the files that they read under one
folder, each at its whole path. Paths of the command's lead there, and all others where they always do.
"""

from __future__ import annotations

import os
from pathlib import Path

from cotune.exceptions import InputError

_carried: tuple[Path, Path] | None = None


def carry(root: Path, home: Path) -> None:
    """Let absolute paths of another machine lead to copies in this process, from now on.

    Parameters
    ----------
    root : Path
        Holds the copies.
    home : Path
        What ``~`` was there.
    """
    global _carried
    _carried = (root, home)


def expanded(path: Path | str) -> Path:
    """Return a path with the home folder in the place of a leading ``~`` or ``~user``.

    Raises
    ------
    InputError
        If this machine knows no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"The path '{path}' starts from the home folder '{Path(path).parts[0]}', which this machine does "
            "not know; write the path in full."
        ) from None


def at(base: Path, path: Path | str) -> Path:
    """Return a path that a file gives, which may start from a base, from ``~`` or from the root."""
    if _carried is None:
        return base / expanded(path)
    root, home = _carried
    parts = Path(path).parts
    named = base / (home.joinpath(*parts[1:]) if parts[:1] == ("~",) else Path(path))
    copy = under(root, named)
    return copy if copy.exists() else named


def named(base: Path, path: Path | str) -> Path:
    """Return the whole path that a file gives on this machine, links not followed."""
    return Path(os.path.abspath(base / expanded(path)))


def original(path: Path | str) -> str:
    """Return the path of another machine that a copy here is of, to be written down; any other as it is."""
    root = _carried[0] if _carried is not None else None
    if root is None or not Path(path).is_relative_to(root):
        return str(path)
    return str(Path("/") / Path(path).relative_to(root))


def under(root: Path, path: Path) -> Path:
    """Return where an absolute path has its copy under a root; a relative path, or one of it, stays."""
    if not path.is_absolute() or path.is_relative_to(root):
        return path
    return root / path.relative_to(path.anchor)
