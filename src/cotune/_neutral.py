"""Names of strangers where a program reads along: tables that spreadsheets compute, terminals that obey.

A name may begin as a formula does, move the cursor, change the title of a window or turn the line around.
"""

from __future__ import annotations

import re
from typing import Any, TextIO

_CONTROL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # all but line breaks and tabs
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn text around
    "\u2028\u2029\ufeff\ufff9-\ufffb"
    "\ud800-\udfff"  # halves of characters, which nothing can write
    "]"
)
_FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|inf|nan)")


def visible(text: str, *, one_line: bool = False) -> str:
    r"""Return a text with control characters, and those that turn text around, as they are escaped.

    As JSON escapes them, in which they stay what they are.

    Parameters
    ----------
    text : str
        What is shown.
    one_line : bool
        Whether line breaks and tabs are escaped too.

    Examples
    --------
    >>> from cotune._neutral import visible
    >>> print(visible("\x1b[31mred"))
    \u001b[31mred
    """
    shown = _CONTROL.sub(_escaped, text)
    return re.sub(r"[\t\n]", _escaped, shown) if one_line else shown


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def csv_cell(value: object) -> object:
    """Return what is written into a table for a value: what a spreadsheet would compute is made a text.

    Numbers stay numbers. What begins as a formula gets the apostrophe by which spreadsheets tell a text, and
    which :func:`read_cell` takes away again. Control characters are escaped, and are read as their escapes.
    """
    if not isinstance(value, str):
        return value
    text = visible(value, one_line=True)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def read_cell(text: str) -> str:
    """Return the text that a cell of a table stands for, without the apostrophe before what is no formula."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class VisibleStream:
    """A stream that shows what it is given to write; see :func:`visible`.

    Parameters
    ----------
    stream : TextIO
        Where it is written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.rich_proxied_file = stream
        """What `rich` writes to, whose own control characters are meant."""

    def write(self, text: str) -> int:
        """Write a text, characters that the stream has no bytes for escaped."""
        shown = visible(text)
        try:
            return self._stream.write(shown)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            return self._stream.write(shown.encode(encoding, errors="backslashreplace").decode(encoding))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
