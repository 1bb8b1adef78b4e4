"""The steps of templates: what is left of them, what things weigh, and what makes much of little.

Steps are counted rather than seconds, so that what is refused is refused on every machine; what would take
more than is left is refused before it is done.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from typing import Any

from cotune.exceptions import InputError

MOST_STEPS = 500_000
"""Of one rendering: turns of a loop, calls, entries of lists; 50 characters count as one."""
MOST_TOGETHER = 20 * MOST_STEPS
"""Of all renderings of one template, beyond those that each of them may take anyhow."""
A_RENDERING, A_STEP_OF_DATA = 5_000, 20
"""Which are so many, and so many for each step that going through its values takes."""
CHARACTERS = 50
_LONGEST_NUMBER = 4096
"""Bits."""
_WIDEST = 999
"""Digits and blanks that one format pads to."""


class TooMuchWorkError(InputError):
    """A template goes beyond its limits; no row of its own accord makes it do so."""


class _Work(threading.local):
    left: float = float("inf")


_work = _Work()


@contextmanager
def limited(steps: int = MOST_STEPS) -> Iterator[None]:
    """Let templates take so many steps within the block.

    Raises
    ------
    TooMuchWorkError
        If they take more.
    """
    before, _work.left = _work.left, min(steps, _work.left)
    try:
        yield
    finally:
        _work.left = before


class Together:
    """What a template takes over all rows of a file, each of which may be just within the limits of one."""

    def __init__(self) -> None:
        self._left = float(MOST_TOGETHER)

    @contextmanager
    def rendering(self, values: Any) -> Iterator[None]:
        """Let a template take its steps within the block, for these values.

        Raises
        ------
        TooMuchWorkError
            If it takes more, or took more for the values before.
        """
        self._left += A_RENDERING + A_STEP_OF_DATA * weight(values)
        if self._left < 0:
            raise TooMuchWorkError(
                f"over the rows before it took {MOST_TOGETHER:,} steps more than {A_RENDERING:,} a row and "
                f"{A_STEP_OF_DATA} for every {CHARACTERS} characters of the data"
            )
        with limited():
            before = _work.left
            try:
                yield
            finally:
                self._left = min(self._left - (before - _work.left), MOST_TOGETHER)


def spend(steps: float) -> None:
    """Take steps from what is left."""
    _work.left -= steps
    if _work.left < 0:
        raise TooMuchWorkError(
            f"it takes more than {MOST_STEPS:,} steps or {MOST_STEPS * CHARACTERS:,} characters"
        )


def weight(value: Any) -> int:
    """Return the steps that going through a value takes, each time it stands within another anew."""
    if isinstance(value, str | bytes):
        return len(value) // CHARACTERS
    total, waiting = 0, [value]
    while waiting:
        one: Any = waiting.pop()
        if isinstance(one, str | bytes):
            total += len(one) // CHARACTERS
        elif isinstance(one, Mapping):
            total += 2 * len(one)
            waiting += _heavy((*one, *one.values())) if total <= _work.left else ()
        elif isinstance(one, list | tuple | set | frozenset):
            total += len(one)
            waiting += _heavy(one) if total <= _work.left else ()
        elif isinstance(one, range | KeysView | ValuesView | ItemsView):
            total += len(one)
        if total > _work.left:
            break
    return total


def _heavy(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if type(value) not in _LIGHT]


_LIGHT = frozenset({int, float, bool, type(None)})
VIEWS: tuple[type, ...] = (range, KeysView, ValuesView, ItemsView)


def ask_product(operator: str, left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        bits = (
            left.bit_length() * max(right, 0) if operator == "**" else left.bit_length() + right.bit_length()
        )
        if bits > _LONGEST_NUMBER:
            raise TooMuchWorkError("it computes a number of more than a thousand digits")
        return
    if operator == "**" and not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise TypeError("powers are of numbers")
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | bytes | list | tuple) and isinstance(times, int):
            spend(
                (len(many) / CHARACTERS if isinstance(many, str | bytes) else weight(many) + 1)
                * max(times, 0)
            )


def ask_percent(text: str | bytes, values: Any) -> None:
    written = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    # A name in brackets that holds brackets would hide the width behind it.
    check_widths([re.search(r"%\([^()]*\(", written)])
    found = re.finditer(r"%(?=(?:\([^()]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+))?)", written)
    check_widths("*" in spec or is_wide(spec) for one in found for spec in one.groups(""))
    each = written.count("%") if isinstance(values, Mapping) else 1
    spend(weight(written) + each * weight(values if isinstance(values, Mapping | tuple) else (values,)))


def is_wide(spec: str) -> bool:
    return any(int(number[:9]) > _WIDEST for number in re.findall(r"\d+", spec))


def check_widths(wide: Iterable[Any]) -> None:
    if any(wide):
        raise TooMuchWorkError(
            f"a format of it pads to more than {_WIDEST} characters, or by a number of the data"
        )


def _by_characters(value: Any, *_: Any, **__: Any) -> None:
    if isinstance(value, str):
        spend(len(value))


def _sorting(value: Any, *_: Any, **__: Any) -> None:
    _by_characters(value)
    spend(10 * weight(value))


def _summing(value: Any, *_: Any, start: Any = 0, **__: Any) -> None:
    if not isinstance(start, int | float):
        raise TypeError("sums are of numbers")


def _to_width(value: Any, width: Any = 80, *_: Any, **__: Any) -> None:
    spend(max(int(width), 0) / CHARACTERS)


def _indenting(value: Any, width: Any = 4, *_: Any, **__: Any) -> None:
    spend(
        (str(value).count("\n") + 1) * (len(width) if isinstance(width, str) else max(width, 0)) / CHARACTERS
    )


def _wrapping(
    value: Any, width: int = 79, _: Any = True, wrapstring: Any = None, *__: Any, **___: Any
) -> None:
    lines = len(value) / max(int(width), 1)
    spend(lines * (len(value) + len(wrapstring or "")) / CHARACTERS)


def _replacing(value: Any, old: Any, new: Any, count: Any = None) -> None:
    value, old = str(value), str(old)
    found = value.count(old) if old else len(value) + 1
    spend(min(found, count if isinstance(count, int) and count >= 0 else found) * len(str(new)) / CHARACTERS)


def _in_parts(value: Any, parts: Any, *_: Any, **__: Any) -> None:
    _by_characters(value)
    spend(max(int(parts), 0))


def _rounding(value: Any, precision: Any = 0, *_: Any, **__: Any) -> None:
    if abs(precision) > 100:
        raise TooMuchWorkError("it rounds to more than 100 digits")


def _as_json(value: Any, *_: Any, indent: Any = None, **__: Any) -> None:
    if indent is not None:
        wide = len(indent) if isinstance(indent, str) else abs(int(indent))
        spend((weight(value) + 1) * wide)


def _formatting(value: Any, *args: Any, **kwargs: Any) -> None:
    ask_percent(str(value), kwargs or args)


CHEAP = frozenset(
    {"length", "count", "default", "d", "first", "last", "attr", "safe", "items", "float", "abs"}
)
"""Filters that do not go through what they are given."""
COMPARING = (
    *("in", "eq", "==", "equalto", "ne", "!=", "gt", ">", "greaterthan", "ge", ">="),
    *("lt", "<", "lessthan", "le", "<=", "lower", "upper", "sameas"),
)
"""Tests that go through what they are given."""
ASKED: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("batch", "slice"), _in_parts),
    **dict.fromkeys(("list", "join", "map", "select", "reject", "selectattr", "rejectattr"), _by_characters),
    **dict.fromkeys(("sort", "unique", "min", "max", "groupby", "dictsort"), _sorting),
    "center": _to_width,
    "format": _formatting,
    "indent": _indenting,
    "replace": _replacing,
    "round": _rounding,
    "sum": _summing,
    "tojson": _as_json,
    "wordwrap": _wrapping,
}
"""What filters that make much of little ask before they do."""


def counted(values: Iterable[Any], cost: int) -> Iterator[Any]:
    """Yield what a loop goes through, and count its turns."""
    for value in values:
        spend(cost)
        yield value


def _ask_width(text: Any, width: Any = 0, *rest: Any) -> tuple[Any, ...]:
    _to_width(text, width)
    return (width, *rest)


def _ask_replace(text: Any, *args: Any) -> tuple[Any, ...]:
    _replacing(text, *args[:3])
    return args


def _ask_join(text: Any, *args: Any) -> tuple[Any, ...]:
    if len(args) != 1:
        return args
    parts = list(counted(args[0], 1))
    spend(weight(parts) + len(parts) * len(text) / CHARACTERS)
    return (parts,)


def _ask_split(text: Any, *args: Any) -> tuple[Any, ...]:
    spend(text.count(args[0]) if args and args[0] else len(text) / 2)
    return args


ASKED_OF_TEXTS = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _ask_width),
    **dict.fromkeys(("split", "rsplit", "splitlines"), _ask_split),
    "join": _ask_join,
    "replace": _ask_replace,
}
"""What methods of texts ask that make much of little."""
