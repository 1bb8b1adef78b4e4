"""JSON of strangers: what Python's parser takes, but for what breaks whoever reads it next."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100
"""Lists and objects within one another: Python calls itself a thousand times, and what prints them too."""


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    NaN and Infinity, which JSON has not and many writers write, are numbers.

    Raises
    ------
    json.JSONDecodeError
        If it is no JSON.
    ValueError
        If it is nested too deeply, or a number in it is too long.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("a whole number in it has more than 4,300 digits") from None
    # Most texts have too few brackets to be deep, whatever they hold.
    openings = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, openings)) > DEEPEST and _is_deep(content):  # type: ignore[arg-type]
        raise ValueError("it is nested too deeply")
    return content


def _is_deep(content: Any) -> bool:
    level = [content]
    for _ in range(DEEPEST):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
