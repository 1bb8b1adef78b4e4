"""Strict configuration: pydantic models whose errors are one sentence and name the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from cotune.exceptions import InputError


class Config(BaseModel):
    """Base of every configuration: unknown keys are errors, and nothing changes after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def plain(self) -> dict[str, Any]:
        """Return plain JSON types, of a field that chose its class by name all fields of that class."""
        return self.model_dump(mode="json", serialize_as_any=True)


AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


class _ConfigError(ValueError):
    """A configuration error and the path of keys that leads to it."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def parse(cls: type[AnyConfig], data: Any, where: str) -> AnyConfig:
    """Validate plain data against a configuration class.

    Parameters
    ----------
    cls : type
        The configuration class.
    data : Any
        Plain data, as YAML or JSON give it.
    where : str
        What the data is, to open the error message with (a file name).

    Raises
    ------
    InputError
        One sentence: where, which key, what is valid, what came.
    """
    try:
        return _validate(cls, data)
    except _ConfigError as problem:
        key = ".".join(map(str, problem.path))
        raise InputError(f"{where}: {key + ': ' if key else ''}{problem.message}") from None


def from_table(table: Mapping[str, type[AnyConfig]], key: str, *, optional: bool = False) -> BeforeValidator:
    """Make a field choose its class by name: ``{key: name, ...options of table[name]}``.

    Parameters
    ----------
    table : mapping of str to configuration class
        The names a user may write.
    key : str
        The key that holds the name.
    optional : bool
        Whether the field may be null.
    """

    def choose(data: Any) -> Any:
        if isinstance(data, BaseModel) or (optional and data is None):
            return data
        if not isinstance(data, Mapping):
            raise _ConfigError((), f"must be a mapping with the key '{key}', got {data!r}.")
        names = ", ".join(sorted(table))
        if key not in data:
            raise _ConfigError((), f"needs the key '{key}', one of: {names}.")
        name = data[key]
        if name not in table:
            raise _ConfigError(
                (key,), f"must be one of: {names}; got {name!r}{did_you_mean(str(name), table)}."
            )
        return _validate(table[name], {k: v for k, v in data.items() if k != key})

    return BeforeValidator(choose)


def did_you_mean(name: str, valid: Any) -> str:
    """Return a clause naming the valid name nearest to ``name``, or nothing when none is near."""
    near = difflib.get_close_matches(name, [str(v) for v in valid], n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""


def _validate(cls: type[AnyConfig], data: Any) -> AnyConfig:
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        raise _ConfigError((), f"must be a mapping of keys to values, got {data!r}.")
    try:
        return cls.model_validate(dict(data))
    except ValidationError as error:
        raise _first_problem(cls, error) from None


def _first_problem(cls: type[BaseModel], error: ValidationError) -> _ConfigError:
    # An unknown key explains a missing one (a misspelling), so it is told first.
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    path: tuple[str | int, ...] = tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        valid = _fields_at(cls, path[:-1])
        near = did_you_mean(str(path[-1]), valid)
        listed = f"; valid keys are: {', '.join(sorted(valid))}"
        return _ConfigError(path, f"unknown key{near or listed}.")
    if first["type"] == "missing":
        return _ConfigError(path, "is required and missing.")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, _ConfigError):
        return _ConfigError((*path, *cause.path), cause.message)
    if first["type"] == "value_error":
        return _ConfigError(path, str(cause))
    return _ConfigError(path, f"{first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}.")


def _fields_at(cls: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Names of the fields of the model that a path of keys leads to."""
    for key in path:
        field = cls.model_fields.get(str(key))
        inner = field.annotation if field else None
        for one in (inner, *get_args(inner)):  # those of an optional model too
            if isinstance(one, type) and issubclass(one, BaseModel):
                cls = one
    return list(cls.model_fields)
