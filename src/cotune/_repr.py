"""How objects show themselves at a prompt: what they are and how big, in ten lines at most."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from itertools import islice
from typing import Any

WIDTH, LINES = 110, 10
_INNER = 80
"""Letters of an object within another."""
_FEW = 3
"""Items of a collection that are shown."""
_BRACKETS: dict[type, tuple[str, str]] = {
    Mapping: ("{", "}"),
    tuple: ("(", ")"),
    list: ("[", "]"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
}


class Brief:
    """Base of dataclasses that may hold much: what they show fits on a screen, whatever they hold."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Before the decorator sees the class: it replaces what is inherited, and leaves what is there.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Brief.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return brief_repr(type(self).__name__, _shown(self))


def _shows_fields(value: Brief) -> bool:
    """Whether a class has not chosen what it shows."""
    return vars(type(value)).get("__repr__") is vars(Brief)["__repr__"]


def _shown(value: Any) -> Iterable[tuple[str, Any]]:
    return [(field.name, getattr(value, field.name, None)) for field in fields(value) if field.repr]


def brief_repr(name: str, arguments: Iterable[tuple[str, Any]]) -> str:
    """Return ``name(argument=value, ...)``, on one line or on a few, with values cut to a line each.

    Parameters
    ----------
    name : str
        Of the class.
    arguments : iterable of (str, Any)
        Name and value of each; without a name the value stands alone.
    """
    parts = [_part(key, _VALUES.repr(value)) for key, value in arguments]
    line = f"{name}({', '.join(parts)})"
    if len(line) <= WIDTH:
        return line
    room = LINES - 2
    shown = parts if len(parts) <= room else parts[: room - 1]
    lines = [f"    {_cut(part, WIDTH - 5)}," for part in shown]
    if len(parts) > len(shown):
        lines.append(f"    ... and {len(parts) - len(shown)} more")
    return "\n".join([f"{name}(", *lines, ")"])


def _part(key: str, value: str) -> str:
    text = " ".join(value.split())
    return f"{key}={text}" if key else text


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


class _Values(reprlib.Repr):
    """Shows values by their beginnings and sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong = 2, 60, 40
        self.maxother = 10_000  # cut at the end instead, where the beginning says most

    def repr1(self, x: Any, level: int) -> str:
        if hasattr(x, "shape") and hasattr(x, "dtype"):  # of NumPy and of PyTorch, neither imported here
            return f"<array of {' x '.join(map(str, x.shape))}>" if x.shape else _cut(repr(x), _INNER)
        if isinstance(x, Brief) and _shows_fields(x):
            return self._nested(x, level)
        for kind, (opens, closes) in _BRACKETS.items():
            if isinstance(x, kind) and not hasattr(x, "_fields"):  # a named tuple shows itself
                return f"{opens}{self._items(x, level)}{closes}"
        return super().repr1(x, level)

    def repr_instance(self, x: Any, level: int) -> str:
        return _cut(_part("", super().repr_instance(x, level)), _INNER)

    def _nested(self, x: Brief, level: int) -> str:
        inner = (
            [_part(key, self.repr1(value, level - 1)) for key, value in _shown(x)] if level > 0 else ["..."]
        )
        return _cut(f"{type(x).__name__}({', '.join(inner)})", _INNER)

    def _items(self, x: Any, level: int) -> str:
        """Show the first of many, and say how many there are."""
        if level <= 0 and len(x):
            return f"{len(x)} in all"
        inner = []
        for item in islice(x, _FEW):
            text = self.repr1(item, level - 1)
            inner.append(f"{text}: {self.repr1(x[item], level - 1)}" if isinstance(x, Mapping) else text)
        if len(x) > _FEW:
            return f"{len(x)} in all: {', '.join(inner)}, ..."
        return ", ".join(inner) + ("," if isinstance(x, tuple) and len(x) == 1 else "")


_VALUES = _Values()
