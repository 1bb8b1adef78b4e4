"""The JSON schema of study files, from the declarations that they are checked by."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from cotune.studies.engine import StudyConfig
from cotune.studies.kinds import KINDS


def study_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a study file of any kind, for editors.

    It is made from the classes that a file is read into, those of installed packages among them: keys, types,
    bounds, choices, defaults and what each is for. What no single key can tell is checked when a study is
    read.
    """
    classes: list[type[StudyConfig]] = [kind.config_class for kind in KINDS.values()]
    references, definitions = models_json_schema([(cls, "validation") for cls in classes])
    of_kind = {name: references[cls, "validation"] for name, cls in zip(KINDS, classes, strict=True)}
    first, *others = of_kind
    schema: dict[str, Any] = dict(of_kind[first])  # a file that writes no kind is of the first
    for name in reversed(others):
        is_of_kind = {"properties": {"kind": {"const": name}}, "required": ["kind"]}
        schema = {"if": is_of_kind, "then": of_kind[name], "else": schema}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cotune study",
        "description": f"A study file of cotune, of the kind {', '.join(of_kind)}.",
        "type": "object",
        **schema,
        "$defs": definitions["$defs"],
    }
