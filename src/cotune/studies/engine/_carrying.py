"""Carrying files between machines that share no file system, as pieces of bytes that somebody else moves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel

from cotune._files import new_file, new_folder
from cotune._places import under

_PIECE = 64 << 20
"""Bytes that are moved at once."""

Stamps: TypeAlias = dict[Path, str]
"""By path on the command's machine, what the file holds: a hash."""
Pieces: TypeAlias = dict[Path, tuple[str, list[Any]]]
"""By path on the command's machine, what the file holds, and its bytes as references to pieces."""


@runtime_checkable
class ReadsFiles(Protocol):
    """Options that name files which runs read."""

    def files_read(self, base: Path) -> Sequence[Path]:
        """Return these files, and folders of such, as absolute paths."""
        ...


def sources_of(worker: Any, base: Path) -> list[Path]:
    """Return the files and folders that the options of a worker name."""
    options = (getattr(worker, field.name, None) for field in fields(worker))
    return sorted({place for one in options if isinstance(one, BaseModel) for place in _named(one, base)})


def _named(value: Any, base: Path) -> Iterator[Path]:
    if isinstance(value, ReadsFiles):
        yield from value.files_read(base)
    inner: Iterable[Any] = ()
    if isinstance(value, BaseModel):
        inner = (getattr(value, name) for name in type(value).model_fields)
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, tuple | list):
        inner = value
    for one in inner:
        yield from _named(one, base)


def files_of(places: Iterable[Path]) -> list[Path]:
    """Return the files among places, and those within folders, sorted; none of what is being written."""
    found: set[Path] = set()
    for place in places:
        if place.is_file():
            found.add(place)
        else:
            walked = (file for file in place.rglob("*") if file.is_file())
            found |= {file for file in walked if not any(p[0] == "." for p in file.relative_to(place).parts)}
    return sorted(found)


class Hasher:
    """Hashes files, each again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def stamp(self, file: Path) -> str:
        """Return the hash of what a file holds."""
        status = file.stat()
        state = (status.st_size, status.st_mtime_ns, status.st_ino)
        if self._known.get(file, ((), ""))[0] != state:
            with file.open("rb") as stream:
                self._known[file] = (state, hashlib.file_digest(stream, "sha256").hexdigest())
        return self._known[file][1]

    def stamps(self, places: Iterable[Path]) -> Stamps:
        """Return the hashes of files, and of those within folders."""
        return {file: self.stamp(file) for file in files_of(places)}


def pieces_of(file: Path, put: Callable[[bytes], Any]) -> list[Any]:
    """Hand out a file's bytes; return the references to them."""
    references = []
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            references.append(put(piece))
    return references


def write_pieces(file: Path, references: Sequence[Any], get: Callable[[Any], bytes]) -> None:
    """Fill a file with pieces."""
    with file.open("wb") as stream:
        for reference in references:
            stream.write(get(reference))
        stream.flush()
        os.fsync(stream.fileno())


def bring(found: Pieces, get: Callable[[Any], bytes]) -> None:
    """Write files that came from elsewhere: one by one, or with its folder where that is new.

    What else is in a folder tells that all of it is there, so that half a folder must not be.
    """
    for folder, files in groupby(sorted(found), key=lambda file: file.parent):
        if folder.exists():
            for file in files:
                with new_file(file) as fresh:
                    write_pieces(fresh, found[file][1], get)
            continue
        with new_folder(folder) as fresh:
            for file in files:
                write_pieces(fresh / file.name, found[file][1], get)


class Mirror:
    """Copies of another machine's files under a root, each at its whole path.

    Parameters
    ----------
    root : Path
        Holds them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._hasher = Hasher()

    def link_same(self, wanted: Stamps) -> list[Path]:
        """Take files that lie here at the same path and are the same; return the others."""
        missing = []
        for file, stamp in wanted.items():
            copy = under(self.root, file)
            if file.is_file() and self._hasher.stamp(file) == stamp:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.symlink_to(file)
            else:
                missing.append(file)
        return missing

    def fill(
        self, places: Iterable[Path], pieces: Pieces, has: Iterable[Path], get: Callable[[Any], bytes]
    ) -> None:
        """Make places hold what came, and nothing but that and ``has``."""
        keep = {under(self.root, file) for file in (*pieces, *has)}
        for file in files_of(under(self.root, place) for place in places):
            if file not in keep:
                file.unlink()
        for file, (_, references) in pieces.items():
            copy = under(self.root, file)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with new_file(copy) as fresh:
                write_pieces(fresh, references, get)

    def changed(self, places: Iterable[Path], before: Stamps, put: Callable[[bytes], Any]) -> Pieces:
        """Return the files in places that are new or other than they were, under their paths there."""
        found: Pieces = {}
        for place in places:
            copy = under(self.root, place)
            for file in files_of([copy]):
                there, stamp = place / file.relative_to(copy), self._hasher.stamp(file)
                if before.get(there) != stamp:
                    found[there] = (stamp, pieces_of(file, put))
        return found
