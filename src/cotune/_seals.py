"""Checksums of what was written, checked when it is read: what is damaged is never taken for whole.

A folder has its checksums in ``SHA256SUMS``, as ``sha256sum -c`` reads them; a single file beside it, in
``<name>.sha256``; a JSON file in its last key.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cotune._files import new_file, new_folder, write_text
from cotune._storage import writing
from cotune.exceptions import DamageError

SUMS = "SHA256SUMS"
_FREE = ("README.md",)
"""Files that may be written anew: they are for people, and nothing is read from them."""
_KEY = "sha256"
_SEALED = re.compile(r'": ?"[0-9a-f]{64}"\s*\}\s*\Z')
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@contextmanager
def sealed_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder as :func:`cotune._files.new_folder` does; it gets checksums when it is full."""
    with new_folder(path) as fresh:
        yield fresh
        seal(fresh)


def seal(folder: Path) -> None:
    """Write the checksums of all files in a folder, and in those in it, into it."""
    with writing(folder / SUMS):
        lines = [f"{_digest(folder / name)}  {name}\n" for name in _files(folder)]
        (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def damage(folder: Path) -> str:
    """Say what of a sealed folder is not as it was written; nothing if all is."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return f"it has no {SUMS}" if folder.is_dir() else "it is missing"
    except (OSError, ValueError):
        return f"its {SUMS} cannot be read"
    found = [_LINE.fullmatch(line) for line in lines]
    if not found:
        return f"its {SUMS} is empty"
    for match in found:
        if match is None:
            return f"its {SUMS} is damaged"
        digest, name = match.groups()
        try:
            if _digest(folder / name) != digest:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        except ValueError:  # no name of a file
            return f"its {SUMS} is damaged"
    return ""


def is_sealed(folder: Path) -> bool:
    """Whether a folder has checksums."""
    return (folder / SUMS).is_file()


def check(folder: Path, remedy: str) -> None:
    """See that a folder is what was written.

    Raises
    ------
    DamageError
        With the remedy, if it is not.
    """
    found = damage(folder)
    if found:
        raise DamageError(f"{folder} is damaged: {found}; {remedy}.")


@contextmanager
def sealed_file(path: Path) -> Iterator[Path]:
    """Fill a temporary file as :func:`cotune._files.new_file` does, with its checksum beside it.

    The checksum comes first and that of the file before stays: killed in between, the file that is there has
    its own.
    """
    with new_file(path) as fresh:
        yield fresh
        _note(path, [_digest(fresh), *_noted(path)[:1]])


def seal_file(path: Path) -> None:
    """Write the checksum of a file that has none beside it."""
    _note(path, [_digest(path)])


def file_damage(path: Path) -> str:
    """Say that a file is not what was written, or has no checksum beside it; nothing if it is whole."""
    noted = _noted(path)
    if not noted:
        return f"it has no checksum in {_beside(path).name}"
    try:
        return "" if _digest(path) in noted else "it is not what was written"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def forget_file(path: Path) -> None:
    """Take a file and its checksum away, if they are there."""
    for place in (path, _beside(path)):
        place.unlink(missing_ok=True)


def json_text(content: Mapping[str, Any], indent: int | None = None) -> str:
    """Return plain types as JSON text with its checksum in the last key."""
    text = json.dumps({**content, _KEY: ""}, indent=indent, ensure_ascii=False) + "\n"
    return _with(text, hashlib.sha256(_bytes(text)).hexdigest())


def read_json(path: Path, listed: str = "") -> dict[str, Any]:
    """Read what :func:`json_text` wrote, or an older file without checksum.

    Parameters
    ----------
    path : Path
        The file.
    listed : str
        Of an older file that is a list, the key that this stands under now.

    Raises
    ------
    OSError
        If there is no such file.
    DamageError
        If it is not what was written.
    """
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
        if listed and isinstance(content, list):
            return {listed: content}
        digest = content.pop(_KEY, None)
        if digest is None:
            whole = _SEALED.search(text[-80:]) is None
        else:
            whole = hashlib.sha256(_bytes(_with(text, "", digest))).hexdigest() == digest
    except (ValueError, AttributeError, TypeError):
        whole = False
    if not whole:
        raise DamageError(f"{path} is damaged: it is not what was written.")
    return dict(content)


def _with(text: str, digest: str, before: str = "") -> str:
    """Put a checksum in the place of another one, in the last key of a text."""
    at = text.rindex(f'"{_KEY}": "{before}"')
    return text[:at] + f'"{_KEY}": "{digest}"' + text[at + len(f'"{_KEY}": "{before}"') :]


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _files(folder: Path) -> list[str]:
    found = (
        Path(place, name).relative_to(folder).as_posix()
        for place, _, files in os.walk(folder)
        for name in files
    )
    return sorted(name for name in found if name != SUMS and Path(name).name not in _FREE)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _note(path: Path, digests: Sequence[str]) -> None:
    write_text(_beside(path), "".join(f"{digest}  {path.name}\n" for digest in dict.fromkeys(digests)))


def _noted(path: Path) -> list[str]:
    try:
        lines = _beside(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [match[1] for match in map(_LINE.fullmatch, lines) if match and match[2] == path.name]
