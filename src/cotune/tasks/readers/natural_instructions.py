from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from cotune.exceptions import InputError
from cotune.tasks.readers import _files
from cotune.tasks.readers._base import ReaderConfig, Source, make_example


class NaturalInstructionsReader(ReaderConfig):
    """Reads task files of Super-NaturalInstructions (Wang et al., 2022, arXiv 2204.07705).

    A task is named after its file; its instruction is the first definition, its category the first category.
    """

    path: Annotated[Path, Field(strict=False)]
    """A task file, or a folder of task files (*.json)."""

    def _sources(self, base: Path) -> dict[str, Callable[[], Source]]:
        path = _files.existing(base, self.path)
        files = _files.visible(path, "*.json") if path.is_dir() else [path]
        if not files:
            raise InputError(
                f"The folder '{path}' has no .json file; Natural Instructions come as one a task."
            )
        return {file.stem: partial(_load, file) for file in files}


class _Instance(BaseModel):
    input: str
    output: list[str]


class _File(BaseModel):
    definition: list[str] = Field(alias="Definition", min_length=1)
    instances: list[_Instance] = Field(alias="Instances", min_length=1)
    categories: list[str] = Field(alias="Categories", default_factory=list)


def _load(path: Path) -> Source:
    content = _files.read_json(path)
    if not isinstance(content, dict):
        raise InputError(f'{path} must be a JSON object with "Definition" and "Instances".')
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise InputError(_problem(path, error)) from None
    examples = [
        make_example(f"{path}, instance {number}", instance.input, instance.output)
        for number, instance in enumerate(file.instances, start=1)
    ]
    category = file.categories[0] if file.categories else ""
    return Source(file.definition[0].strip(), {"train": examples}, "rouge_l", category)


def _problem(path: Path, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "too_short":
        return f"{path} has no {str(first['loc'][0]).lower()}; a task needs at least one."
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"]).lstrip(".")
    return f"{path} is not a Natural Instructions task: {where or 'the file'}: {first['msg']}."
