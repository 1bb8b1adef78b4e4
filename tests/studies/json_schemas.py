"""As much of JSON Schema (draft 2020-12) as schemas of study files are written in."""

from __future__ import annotations

from typing import Any

KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
SAID = {"title", "description", "default", "discriminator", "$schema", "$defs", "examples", "format"}


def problem(value: Any, schema: dict[str, Any] | bool, root: dict[str, Any], at: str = "") -> str | None:
    """Return where a value is not what a schema says, None where it is valid."""
    if isinstance(schema, bool):
        return None if schema else f"{at}: not allowed"
    for keyword, content in schema.items():
        if keyword in SAID or keyword in ("then", "else", "additionalProperties"):
            continue
        found = CHECKS[keyword](value, content, schema, root, at)
        if found:
            return found
    return None


def _reference(value, name, schema, root, at):
    return problem(value, root["$defs"][name.removeprefix("#/$defs/")], root, at)


def _kind(value, kind, schema, root, at):
    if kind == "boolean" or isinstance(value, bool):
        fits = kind == "boolean" and isinstance(value, bool)
    else:
        fits = isinstance(value, KINDS[kind])
    return None if fits else f"{at}: {value!r} is no {kind}"


def _properties(value, properties, schema, root, at):
    if not isinstance(value, dict):
        return None
    for key, inner in value.items():
        content = properties.get(key, schema.get("additionalProperties", True))
        if found := problem(inner, content, root, f"{at}.{key}"):
            return found
    return None


def _names(value, names, schema, root, at):
    keys = value if isinstance(value, dict) else ()
    return next((found for key in keys if (found := problem(key, names, root, at))), None)


def _required(value, names, schema, root, at):
    missing = [name for name in names if isinstance(value, dict) and name not in value]
    return f"{at}: {missing[0]} is missing" if missing else None


def _items(value, items, schema, root, at):
    if not isinstance(value, list):
        return None
    start = len(schema.get("prefixItems", ()))
    of_each = (problem(one, items, root, f"{at}[{n}]") for n, one in enumerate(value[start:]))
    return next((found for found in of_each if found), None)


def _prefix_items(value, content, schema, root, at):
    pairs = zip(value, content, strict=False) if isinstance(value, list) else ()
    return next((found for one, inner in pairs if (found := problem(one, inner, root, at))), None)


def _one_of(value, options, schema, root, at):
    found = [problem(value, option, root, at) for option in options]
    return None if found.count(None) == 1 else f"{at}: fits {found.count(None)} of {found}"


def _any_of(value, options, schema, root, at):
    found = [problem(value, option, root, at) for option in options]
    return None if None in found else f"{at}: fits none of {found}"


def _if(value, condition, schema, root, at):
    branch = "then" if problem(value, condition, root) is None else "else"
    return problem(value, schema.get(branch, True), root, at)


def _bound(fits):
    def check(value, bound, schema, root, at):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return f"{at}: {value!r} is beyond {bound}" if number and not fits(value, bound) else None

    return check


def _length(kind, fits):
    def check(value, bound, schema, root, at):
        return f"{at}: of {len(value)}" if isinstance(value, kind) and not fits(len(value), bound) else None

    return check


CHECKS = {
    "$ref": _reference,
    "type": _kind,
    "properties": _properties,
    "propertyNames": _names,
    "required": _required,
    "items": _items,
    "oneOf": _one_of,
    "anyOf": _any_of,
    "if": _if,
    "const": lambda value, content, *_: None if value == content else f"{value!r} is not {content!r}",
    "enum": lambda value, content, *_: None if value in content else f"{value!r} is none of {content}",
    "minimum": _bound(lambda value, bound: value >= bound),
    "maximum": _bound(lambda value, bound: value <= bound),
    "exclusiveMinimum": _bound(lambda value, bound: value > bound),
    "exclusiveMaximum": _bound(lambda value, bound: value < bound),
    "minLength": _length(str, lambda n, bound: n >= bound),
    "minItems": _length(list, lambda n, bound: n >= bound),
    "maxItems": _length(list, lambda n, bound: n <= bound),
    "prefixItems": _prefix_items,
}
