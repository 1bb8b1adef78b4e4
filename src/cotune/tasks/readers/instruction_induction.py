from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from cotune.exceptions import InputError
from cotune.tasks.readers import _files
from cotune.tasks.readers._base import ReaderConfig, Source
from cotune.tasks.readers._rows import Unusable, as_text, text_only
from cotune.tasks.readers.templates import TaskTemplates, TemplateOptions

_CHOICES = {
    "sentiment": ["positive", "negative"],
    "word_in_context": ["same", "not the same"],
    "sentence_similarity": [
        "0 - definitely not",
        "1 - probably not",
        "2 - possibly",
        "3 - probably",
        "4 - almost perfectly",
        "5 - perfectly",
    ],
}
"""The closed sets of answers; the other tasks are free text."""
_METRICS = {
    # Any order of words, or a similar wording, is right.
    **dict.fromkeys(
        ["common_concept", "informal_to_formal", "orthography_starts_with", "taxonomy_animal"], "token_f1"
    ),
    # Articles and signs count: the letter "a", and numbers below zero.
    **dict.fromkeys(["first_word_letter", "second_word_letter", "letters_list", "diff", "sum"], "accuracy"),
}
"""The metrics of single tasks; the others are scored by exact match."""
_Content = TypeVar("_Content", bound=BaseModel)
_OTHER_OUTPUTS = ("possible_outputs", "possible_translations", "other_rhymes")


class InstructionInductionReader(TaskTemplates, ReaderConfig):
    """Reads the tasks of instruction induction (Honovich et al., 2022, arXiv 2205.10782).

    A task is a JSON file named after it: "induce" has the examples to train on, "execute" those to test on,
    and "instructions" what people wrote the task asks for. All acceptable outputs of an example are its
    targets. The fields of a row for templates are ``input``, ``output``, ``outputs`` and whatever the file
    has. The folder that the authors published, with raw/induce, raw/execute and perhaps annotations, is read
    as it is.
    """

    path: Annotated[Path, Field(strict=False)]
    """A task file, a folder of task files (*.json), or the published folder with raw/ in it."""
    instruction_number: Annotated[int, Field(ge=0)] | None = 0
    """Which of the file's instructions, if it has any, opens every prompt unless 'instruction' does."""
    target: str = "{{ outputs | join('|||') }}"
    """Template of the acceptable outputs, parted by "|||"."""

    def sources(self, base: Path) -> dict[str, Callable[[], Source]]:
        """Return what loads each task of the folder or file."""
        path = _files.existing(base, self.path)
        published = path / "raw" / "induce"
        folder = published if published.is_dir() else path
        files = _files.visible(folder, "*.json") if folder.is_dir() else [path]
        if not files:
            raise InputError(f"The folder '{folder}' has no .json file; the tasks come as one each.")
        options = self.options_by_task([file.stem for file in files])
        return {file.stem: partial(self._load, file, options[file.stem]) for file in files}

    def _load(self, path: Path, options: TemplateOptions) -> Source:
        file = _read_published(path) if path.parent.parts[-2:] == ("raw", "induce") else _read(path)
        name = path.stem
        if name in _CHOICES and not options.model_fields_set & {"template", "target", "labels", "choices"}:
            options = options.override(TemplateOptions(target="{{ output }}", choices=_CHOICES[name]))
        unusable = Unusable(path.parent)
        splits = {"train": options.examples(_rows(path, "induce", file.induce), unusable)}
        splits["test"] = options.examples(_rows(path, "execute", file.execute), unusable)
        free = options.builtin is None and not options.answers
        metric = _METRICS.get(name, "exact_match") if free else options.default_metric
        return Source(
            self._instruction(path, file, options),
            splits,
            metric,
            format=options.default_format,
            notes=unusable.notes,
            why_metric="as the collection scores it" if free else options.why_metric,
        )

    def _instruction(self, path: Path, file: _File, options: TemplateOptions) -> str:
        number = self.instruction_number
        # A built-in template says it all already.
        if "instruction" in options.model_fields_set or options.builtin is not None or number is None:
            return options.instruction
        if not file.instructions and "instruction_number" not in self.model_fields_set:
            return ""
        if number >= len(file.instructions):
            raise InputError(
                f"{path} has {len(file.instructions)} instructions, so 'instruction_number' must be null or "
                f"less than that, got {number}."
            )
        return text_only(f"{path}, instruction {number}", file.instructions[number]).strip()


class _File(BaseModel):
    induce: list[Any] = Field(min_length=1)
    execute: list[Any] = Field(min_length=1)
    instructions: list[Any] = Field(default_factory=list)


class _Published(BaseModel):
    examples: dict[str, Any]


class _Annotations(BaseModel):
    annotations: list[Any]


def _read(path: Path) -> _File:
    return _validate(_File, _files.read_json(path), path)


def _read_published(induce: Path) -> _File:
    """Read a task whose parts stand in files of one name below raw/ and annotations/."""
    raw = induce.parents[1]
    execute, annotated = raw / "execute" / induce.name, raw.parent / "annotations" / induce.name
    if not execute.is_file():
        raise InputError(
            f"{induce} has no file of its name in '{execute.parent}', whose examples it is tested on."
        )
    content: dict[str, Any] = {
        part.parent.name: list(_validate(_Published, _files.read_json(part), part).examples.values())
        for part in (induce, execute)
    }
    if annotated.is_file():
        content["instructions"] = _validate(_Annotations, _files.read_json(annotated), annotated).annotations
    return _validate(_File, content, induce)


def _validate(kind: type[_Content], content: Any, path: Path) -> _Content:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path} is not a task of instruction induction: {where}: {first['msg']}; it needs the lists "
            '"induce" and "execute" of examples such as {"input": "old", "output": "new"}, or, below raw/, '
            '"examples" by number.'
        ) from None


def _rows(path: Path, part: str, rows: list[Any]) -> Iterator[tuple[str, Mapping[str, Any] | InputError]]:
    for number, row in enumerate(rows, start=1):
        where = f"{path}, {part}, example {number}"
        yield where, _row(where, row)


def _row(where: str, row: Any) -> Mapping[str, Any] | InputError:
    """Return a row with its input and outputs, or the error that says why it has none."""
    if not isinstance(row, dict):
        return InputError(
            f'{where} must be an object such as {{"input": "old", "output": "new"}}, got {str(row)[:40]!r}.'
        )
    try:
        return row | _as_text(where, row)
    except InputError as error:
        return error
    except KeyError as error:
        return InputError(f"{where} has no field {error}; its fields are {', '.join(row) or 'none'}.")


def _as_text(where: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return input and outputs, the best first; some tasks come in fields of their own."""

    def text(field: str) -> str:
        return as_text(where, row[field])

    def texts(field: str) -> list[str]:
        values = row[field]
        return [as_text(where, value) for value in (values if isinstance(values, list) else [values])]

    if "cause" in row:
        sentences = [text("cause"), text("effect")]
        # Which comes first must not tell the answer; it depends on the example alone.
        if zlib.crc32("".join(sentences).encode(errors="surrogatepass")) % 2:
            sentences.reverse()
        first, second = sentences
        return _texts(f"Sentence 1: {first} Sentence 2: {second}", [text("cause")])
    if "informal" in row:
        return _texts(text("informal"), [text("formal")])
    if "items" in row:
        return _texts(", ".join(texts("items")), [text("concept"), *texts("all_common_concepts")])
    others = next((texts(field) for field in _OTHER_OUTPUTS if field in row), [])
    # A word is listed among those it rhymes with, and some lists of translations hold an empty one.
    others = [other for other in others if other and ("other_rhymes" not in row or other != row["input"])]
    return _texts(text("input"), [*texts("output"), *others])


def _texts(input: str, outputs: list[str]) -> dict[str, Any]:
    return {"input": input, "output": next(iter(outputs), ""), "outputs": list(dict.fromkeys(outputs))}
