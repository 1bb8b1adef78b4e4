from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from cotune.exceptions import InputError
from cotune.tasks.readers import _files
from cotune.tasks.readers._base import ReaderConfig, Source
from cotune.tasks.readers._rows import Unusable, text_only


class NaturalInstructionsReader(ReaderConfig):
    """Reads task files of Super-NaturalInstructions (Wang et al., 2022, arXiv 2204.07705).

    A task is named after its file; its instruction is the first definition, its category the first category.
    """

    path: Annotated[Path, Field(strict=False)]
    """A task file, or a folder of task files (*.json)."""

    def sources(self, base: Path) -> dict[str, Callable[[], Source]]:
        """Return what loads each task file."""
        path = _files.existing(base, self.path)
        files = _files.visible(path, "*.json") if path.is_dir() else [path]
        if not files:
            raise InputError(
                f"The folder '{path}' has no .json file; Natural Instructions come as one a task."
            )
        return {file.stem: partial(_load, file) for file in files}


class _File(BaseModel):
    definition: list[Any] = Field(alias="Definition", min_length=1)
    instances: list[Any] = Field(alias="Instances", min_length=1)
    categories: Any = Field(alias="Categories", default=())


def _load(path: Path) -> Source:
    content = _files.read_json(path)
    if not isinstance(content, dict):
        raise InputError(f'{path} must be a JSON object with "Definition" and "Instances".')
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise InputError(_problem(path, error)) from None
    instruction = text_only(f"{path}, its first definition", file.definition[0]).strip()
    unusable = Unusable(path.parent)
    rows = ((f"{path}, instance {number}", row) for number, row in enumerate(file.instances, start=1))
    examples = unusable.examples(rows, _texts)
    category, left_out = _category(file.categories)
    notes = (*unusable.notes, *left_out)
    why = "as Super-NaturalInstructions are scored"
    return Source(instruction, {"train": examples}, "rouge_l", category, notes=notes, why_metric=why)


def _category(categories: Any) -> tuple[str, tuple[str, ...]]:
    """Return the first category, and a note where it is no text: nothing but a comparison needs it."""
    if not categories:
        return "", ()
    try:
        return text_only("it", categories[0] if isinstance(categories, list) else categories), ()
    except InputError:
        return "", ("the category was left out, since it is no text",)


def _texts(where: str, instance: Any) -> tuple[Any, list[Any]]:
    if not isinstance(instance, dict):
        raise InputError(
            f'{where} must be an object such as {{"input": "old", "output": ["new"]}}, got '
            f"{str(instance)[:40]!r}."
        )
    for field in ("input", "output"):
        if field not in instance:
            fields = ", ".join(map(str, instance)) or "none"
            raise InputError(f"{where} has no field '{field}'; its fields are {fields}.")
    if not isinstance(instance["output"], list):
        raise InputError(
            f"{where} must have a list of acceptable outputs, got {str(instance['output'])[:40]!r}."
        )
    return instance["input"], instance["output"]


def _problem(path: Path, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "too_short":
        return f"{path} has no {str(first['loc'][0]).lower()}; a task needs at least one."
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"]).lstrip(".")
    return f"{path} is not a Natural Instructions task: {where or 'the file'}: {first['msg']}."
