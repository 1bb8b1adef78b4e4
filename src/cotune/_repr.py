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
    """Base of classes whose objects may hold much: what they show fits on a screen, whatever they hold.

    It is the fields of a dataclass; ``__repr_args__`` gives others, as with pydantic.
    """

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Before the decorator sees the class: it replaces what is inherited, and leaves what is there.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Brief.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return brief_repr(self, self.__repr_args__())

    def __repr_args__(self) -> Iterable[tuple[str, Any]]:
        shown = (field.name for field in fields(self) if field.repr)  # type: ignore[arg-type]
        return [(name, getattr(self, name, None)) for name in shown]


def brief_repr(thing: object, arguments: Iterable[tuple[str, Any]]) -> str:
    """Return ``Name(argument=value, ...)`` in few lines: values are cut, and what finds no room is named.

    Parameters
    ----------
    thing : object
        Whose class it is.
    arguments : iterable of (str, Any)
        Name and value of each; without a name the value stands alone.
    """
    name, named = type(thing).__name__, list(arguments)
    parts = [_part(key, _VALUES.repr(value)) for key, value in named]
    line = f"{name}({', '.join(parts)})"
    if len(line) <= WIDTH:
        return line
    lines: list[str] = []
    for at, part in enumerate(parts):
        part = f"{_cut(part, WIDTH - 5)},"
        if lines and len(lines[-1]) + len(part) < WIDTH:
            lines[-1] += f" {part}"
        elif len(lines) < LINES - 3 or at == len(parts) - 1:
            lines.append(f"    {part}")
        else:
            lines.append(_cut(f"    ... {', '.join(key for key, _ in named[at:] if key)}", WIDTH))
            break
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
        if hasattr(type(x), "__repr_args__"):
            return self._nested(x, level)
        for kind, (opens, closes) in _BRACKETS.items():
            if isinstance(x, kind) and not hasattr(x, "_fields"):  # a named tuple shows itself
                return f"{opens}{self._items(x, level)}{closes}"
        return super().repr1(x, level)

    def repr_instance(self, x: Any, level: int) -> str:
        return _cut(_part("", super().repr_instance(x, level)), _INNER)

    def _nested(self, x: Any, level: int) -> str:
        if level <= 0:
            return f"{type(x).__name__}(...)"
        inner = [_part(key, self.repr1(value, level - 1)) for key, value in x.__repr_args__()]
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
