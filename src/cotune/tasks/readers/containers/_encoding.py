"""Text of strangers' files, whatever wrote it: packed or not, in UTF-8, UTF-16 or an 8-bit code."""

from __future__ import annotations

import codecs
import io
import lzma
import re
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from cotune.exceptions import InputError

PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
"""Endings of files that are unpacked while they are read."""

BROKEN: tuple[type[Exception], ...] = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""What reading a packed file raises that is cut off or none."""

_ESCAPED = "cotune-escaped"
codecs.register_error(_ESCAPED, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]
_SAMPLE = 1 << 23
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # opens as UTF-16 does, so it is asked for first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


def open_text(path: Path, *, newline: str | None = None) -> tuple[io.TextIOWrapper, tuple[str, ...]]:
    """Open a file as text; bytes that are no text become lone surrogates (see :func:`has_broken_bytes`).

    Parameters
    ----------
    path : Path
        Unpacked by its ending, one of :data:`PACKED`.
    newline : str, optional
        As the builtin ``open`` takes it.

    Returns
    -------
    file : TextIOWrapper
    notes : tuple of str
        The encoding, where it is not UTF-8.
    """
    stream = _open(path)
    try:
        sample = stream.read(_SAMPLE)
    except BROKEN as error:
        raise InputError(f"{path} cannot be unpacked: {str(error).rstrip('.')}.") from error
    stream.seek(0)
    encoding = _encoding(sample, whole=len(sample) < _SAMPLE)
    # Halves of what is wider than a byte escape by themselves.
    errors = "surrogateescape" if encoding in ("utf-8", "utf-8-sig", "cp1252") else _ESCAPED
    file = io.TextIOWrapper(stream, encoding, errors=errors, newline=newline)
    name = {"cp1252": "Windows-1252 (Latin-1)", "utf-8": "", "utf-8-sig": ""}.get(encoding, encoding.upper())
    return file, (f"{path.name} was read as {name}, since it is not UTF-8",) if name else ()


def has_broken_bytes(text: str) -> bool:
    """Return whether a text holds bytes that the file's encoding has no character for."""
    return any("\udc80" <= letter <= "\udcff" for letter in text)


def _open(path: Path) -> BinaryIO:
    if path.suffix not in PACKED:
        return path.open("rb")
    import fsspec

    try:
        return cast("BinaryIO", fsspec.open(str(path), "rb", compression=PACKED[path.suffix]).open())
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{path} cannot be unpacked: {str(error).rstrip('.')}; {PACKED[path.suffix]} needs a package "
            "that knows it, such as zstandard."
        ) from error


def _encoding(sample: bytes, *, whole: bool) -> str:
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if b"\0" in sample[:4096]:
        # Latin letters of UTF-16 leave every other byte empty.
        even, odd = sample[:4096:2].count(0), sample[1:4096:2].count(0)
        return "utf-16-le" if odd >= even else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=whole)
    except UnicodeDecodeError:
        # Letters of UTF-8 beside the bytes that are none: a file of UTF-8 with some broken lines.
        return "utf-8" if _MULTIBYTE.search(sample) else "cp1252"
    return "utf-8"
