"""Options of the command line that become parts of a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from cotune._yaml import YamlError, parse_yaml
from cotune.exceptions import InputError


def nested(settings: Sequence[str]) -> dict[str, Any]:
    """Read ``key.of.keys=value`` settings into nested mappings; values are YAML.

    Raises
    ------
    InputError
        If one has no key or a value that is not YAML, or two say different things of one key.
    """
    result: dict[str, Any] = {}
    for setting in settings:
        path, sign, text = setting.partition("=")
        *parents, last = path.strip().split(".")
        if not sign or not last or not all(parents):
            raise InputError(f"--set takes key=value such as training.batch_size=16, got {setting!r}.")
        try:
            value = parse_yaml(text)
        except YamlError as error:
            raise InputError(
                f"--set {path}: the value {shorten(text, 80)!r} is not YAML ({error}); quote it."
            ) from None
        place = result
        for key in parents:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise InputError(f"--set {path}: {key} has a value already, so it can have no keys.")
        if last in place:
            raise InputError(f"--set {path}: it is set twice.")
        place[last] = value
    return result


def numbers(text: str, option: str) -> list[int]:
    """Read numbers parted by commas.

    Raises
    ------
    InputError
        If one is none.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"{option} takes numbers parted by commas such as 0,1,4, got {text!r}.")
    return [int(part) for part in parts]


def words(text: str) -> list[str]:
    """Read words parted by commas."""
    return [word.strip() for word in text.split(",")]


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {key: value for key, value in options.items() if value is not None}
