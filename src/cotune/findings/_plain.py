"""From findings to what JSON has words for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def plain(value: Any) -> Any:
    """Return plain JSON types: a dataclass by its fields, and ``None`` for a number that is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class Plain:
    """Mixed into a dataclass that is written as JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a number that is not known becomes ``None``."""
        found: dict[str, Any] = plain(self)
        return found
