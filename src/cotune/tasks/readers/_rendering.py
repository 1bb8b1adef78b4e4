"""Rendering: what a template prints for the values of a row, and its parts again."""

from __future__ import annotations

import datetime
import math
import numbers
from collections.abc import Callable, Mapping
from functools import cache
from textwrap import shorten
from typing import Any

import jinja2
import jinja2.filters
import jinja2.meta

from cotune._sandbox import LimitedEnvironment
from cotune._steps import CHARACTERS, TooMuchWorkError, limited, spend, weight
from cotune.exceptions import InputError
from cotune.tasks.readers._rows import name_of

SEPARATOR = "|||"
"""Parts input and targets in a template, as in PromptSource (Bach et al., 2022)."""

_MARK = f"\x1e{SEPARATOR}\x1e"
"""Stands for the separator while a template is rendered: a "|||" in the data must not part anything."""

_LIST = "\x02[\x02", "\x02,\x02", "\x02]\x02"
"""Stand around and between the entries of a list that a template prints; no blanks, which are stripped."""


def parts_of(rendered: str) -> tuple[str, list[str]]:
    """Return input and acceptable outputs of a rendered template.

    A target that is a list of the data stands for the list's entries.

    Raises
    ------
    ValueError
        If the template prints a list where text belongs; says where and what to write.
    """
    input, *targets = rendered.split(_MARK)
    if _LIST[0] in input:
        raise ValueError("a list in the input, which needs {{ x | join(', ') }} to become text")
    return input, [entry for target in targets for entry in _entries(target.strip())]


def _entries(target: str) -> list[str]:
    opening, comma, closing = _LIST
    if opening not in target:
        return [target]
    inner = target.removeprefix(opening).removesuffix(closing)
    if len(target) - len(inner) < len(opening + closing) or opening in inner:
        raise ValueError(
            "a list within the target, which needs {{ x | join(', ') }} to become text; alone it would stand "
            "for acceptable outputs"
        )
    return [entry.strip() for entry in inner.split(comma)]


def _finalize(value: Any) -> Any:
    """Return what a template prints for a value: text, numbers as JSON writes them, lists between marks."""
    if isinstance(value, list | tuple):
        opening, comma, closing = _LIST
        return opening + comma.join(map(_printed, value)) + closing
    return _printed(value)


def _printed(value: Any) -> Any:
    if isinstance(value, jinja2.Undefined | str | datetime.date | datetime.time | datetime.timedelta):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, numbers.Number) and not (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    raise jinja2.UndefinedError(f"it prints a value that is {name_of(value)}")


def _join(value: Any, d: str = "", attribute: str | int | None = None) -> str:
    """Join as Jinja does, entries as they would be printed; a text in place of a list is one output."""
    if isinstance(value, str) and d == _MARK:
        return value
    if isinstance(value, Mapping):
        raise jinja2.UndefinedError("it joins a value that is an object")  # Jinja would join its keys
    if attribute is not None:
        value = map(jinja2.filters.make_attrgetter(_environment(), attribute), value)
    parts = [_printed(one) for one in value]
    spend(weight(parts) + len(parts) * len(d) / CHARACTERS)
    return d.join(parts)


@cache
def _environment() -> LimitedEnvironment:
    made = LimitedEnvironment(undefined=jinja2.StrictUndefined, finalize=_finalize)
    made.add_filter("join", _join)
    return made


def fields_of(source: str) -> set[str]:
    """Return the fields that a template asks for."""
    with limited():  # constants are computed on the way
        names: set[str] = jinja2.meta.find_undeclared_variables(_environment().parse(source))
    return names - {"answer_choices"}


@cache
def compile_expression(expression: str) -> Callable[[Mapping[str, Any]], Any]:
    try:
        return _environment().compiled_expression(expression)
    except jinja2.TemplateSyntaxError as error:
        raise InputError(
            f"The field {expression!r} is not a valid Jinja expression: {str(error).rstrip('.')}."
        ) from None
    except TooMuchWorkError as error:
        raise TooMuchWorkError(f"The field {shorten(expression, 80)!r} is not used: {error}.") from None


@cache
def compile_template(source: str) -> jinja2.Template:
    try:
        return _environment().compiled(source.replace(SEPARATOR, _MARK))
    except jinja2.TemplateSyntaxError as error:
        raise InputError(f"The template {source!r} is not valid Jinja: {str(error).rstrip('.')}.") from None
    except TooMuchWorkError as error:
        raise TooMuchWorkError(f"The template {shorten(source, 80)!r} is not used: {error}.") from None
