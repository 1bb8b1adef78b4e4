"""Strict configuration: pydantic models whose errors are one sentence and name the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_jsonable_python

from cotune._repr import brief_repr
from cotune.exceptions import InputError


class BriefModel(BaseModel):
    """Base of all that files may say: it shows what is not as it is by default, and fits on a screen."""

    def __repr__(self) -> str:
        return brief_repr(self, self.__repr_args__())

    def __str__(self) -> str:
        return repr(self)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if field.is_required() or value != field.get_default(call_default_factory=True):
                yield name, value
        yield from (self.model_extra or {}).items()


class Config(BriefModel):
    """Base of every configuration: unknown keys are errors, and nothing changes after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    def plain(self) -> dict[str, Any]:
        """Return plain JSON types with every default filled in; read back they are an equal configuration.

        Only a reader that asks which of two options was given does not take both back.
        """
        return plain(self)


def plain(config: BaseModel) -> dict[str, Any]:
    """Return a configuration as plain JSON types."""
    # Not dumped as JSON at once, which makes 16.0 of a default of 16: stored runs were hashed with 16.
    content: dict[str, Any] = to_jsonable_python(config.model_dump())
    return content


AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


class ConfigError(ValueError):
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
        return validate(cls, data)
    except ConfigError as problem:
        key = ".".join(map(str, problem.path))
        raise InputError(f"{where}: {key + ': ' if key else ''}{problem.message}") from None


def did_you_mean(name: str, valid: Any) -> str:
    """Return a clause naming the valid name nearest to ``name``, or nothing when none is near."""
    near = difflib.get_close_matches(name, [str(v) for v in valid], n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""


def validate(cls: type[AnyConfig], data: Any) -> AnyConfig:
    """Do as :func:`parse` does, for a part of a file.

    Raises
    ------
    ConfigError
        The first thing that is wrong, with its path.
    """
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        raise ConfigError((), f"must be a mapping of keys to values, got {data!r}.")
    try:
        return cls.model_validate(dict(data))
    except ValidationError as error:
        raise _first_problem(cls, error) from None


def _first_problem(cls: type[BaseModel], error: ValidationError) -> ConfigError:
    # An unknown key explains a missing one (a misspelling), so it is told first.
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    path: tuple[str | int, ...] = tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        valid = _fields_at(cls, path[:-1])
        near = did_you_mean(str(path[-1]), valid)
        listed = f"; valid keys are: {', '.join(sorted(valid))}"
        return ConfigError(path, f"unknown key{near or listed}.")
    if first["type"] in ("model_type", "model_attributes_type"):
        keys = ", ".join(_fields_at(cls, path))
        return ConfigError(
            path, f"must be a mapping of keys to values (its keys: {keys}), got {first['input']!r}."
        )
    if first["type"] == "missing":
        return ConfigError(path, "is required and missing.")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return ConfigError((*path, *cause.path), cause.message)
    if first["type"] == "value_error":
        return ConfigError(path, str(cause))
    return ConfigError(path, f"{first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}.")


def _fields_at(cls: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Names of the fields of the model that a path of keys leads to."""
    for key in path:
        field = cls.model_fields.get(str(key))
        inner = field.annotation if field else None
        for one in (inner, *get_args(inner)):  # those of an optional model too
            if isinstance(one, type) and issubclass(one, BaseModel):
                cls = one
    return list(cls.model_fields)
