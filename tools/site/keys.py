"""The page of all keys of study files, read from the schema that editors complete them by."""

from __future__ import annotations

import json
import re
from typing import Any

_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def keys_page() -> str:
    """Return the page: of each kind of study and each thing that a file names, its keys and their values."""
    from cotune.studies import KINDS
    from cotune.studies.schema import study_schema

    definitions: dict[str, Any] = study_schema()["$defs"]
    titles = {name: _title(name, definition) for name, definition in definitions.items()}
    parts = [
        "# Keys of study files\n",
        "Made from what study files are checked by: `cotune schema` prints the same for editors. "
        "[Study files](../study-files.md) tells what the keys are for, and which to begin with.\n",
    ]
    kinds = [kind.config_class.__name__ for kind in KINDS.values()]
    for name in [*kinds, *(name for name in definitions if name not in kinds)]:
        parts.append(_section(name, definitions[name], titles))
    return "\n".join(parts)


def _title(name: str, definition: dict[str, Any]) -> str:
    """Return what a file writes to choose these keys, or their own name."""
    chosen = [f"`{k}: {v['const']}`" for k, v in definition.get("properties", {}).items() if "const" in v]
    return chosen[0] if chosen else name


def _section(name: str, definition: dict[str, Any], titles: dict[str, str]) -> str:
    properties: dict[str, Any] = definition.get("properties", {})
    required = {*definition.get("required", ())}
    rows = []
    for key, value in properties.items():
        if "const" not in value:
            cells = (
                _text(value.get("description", "")),
                _type(value, titles),
                _default(value, key in required),
            )
            rows.append(f"| `{key}` | {' | '.join(cells)} |")
    table = (
        ["| key | what | value | default |", "|---|---|---|---|", *rows, ""]
        if rows
        else ["No further keys.", ""]
    )
    return "\n".join([f"## {titles[name]} {{: #{name.lower()} }}\n", f"{_prose(definition)}\n", *table])


def _prose(definition: dict[str, Any]) -> str:
    return str(definition.get("description", "")).replace("``", "`").replace("<", "&lt;")


def _type(value: dict[str, Any], titles: dict[str, str]) -> str:
    """Return what a value may be, in words; things with keys of their own as links."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{titles[name]}](#{name.lower()})"
    if "enum" in value or "const" in value:
        return ", ".join(
            f"`{json.dumps(one).strip(chr(34))}`" for one in value.get("enum", [value.get("const")])
        )
    for several in ("anyOf", "oneOf", "allOf"):
        if several in value:
            one, *lists = sorted(value[several], key=lambda part: part.get("type") == "array")
            if [part.get("items") for part in lists] == [one]:
                return f"{_type(one, titles)}, or a list of these"
            return " or ".join(dict.fromkeys(_type(part, titles) for part in value[several]))
    kind = value.get("type", "anything")
    if kind == "array":
        return f"list of {_type(value.get('items', {}), titles)}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"mapping to {_type(value['additionalProperties'], titles)}"
    word = {"string": "text", "boolean": "true or false", "null": "null", "object": "mapping"}.get(kind, kind)
    bounds = [f"{sign} {value[bound]}" for bound, sign in _BOUNDS.items() if bound in value]
    return " ".join([word, *bounds]).replace("<", "&lt;")


def _default(value: dict[str, Any], required: bool) -> str:
    if required or "default" not in value:
        return "required" if required else ""
    if isinstance(value["default"], dict) and value["default"]:
        return "its own"
    return f"`{_text(json.dumps(value['default'], ensure_ascii=False))}`"


def _text(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("``", "`").replace("|", r"\|").strip()
