"""Rows with an input and a target, under the names that people give them, and Alpaca's rows of three."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cotune.exceptions import InputError
from cotune.tasks.readers._rows import as_text
from cotune.tasks.readers.containers import Row
from cotune.tasks.readers.shapes._base import Fields, Shape, value_of

SEVERAL = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("context", "question"),
    ("passage", "question"),
    ("article", "question"),
    ("question", "sentence"),
    ("title", "content"),
    ("title", "body"),
    ("subject", "body"),
)
"""Fields that make an input together, in this order, each under its name."""

INPUTS = (
    *("input", "inputs", "prompt", "question", "query", "text", "sentence", "content", "document", "article"),
    *("dialogue", "passage", "problem", "review", "utterance", "tweet", "message", "body", "mr"),
    *("meaning_representation", "source"),
)
"""Fields that are an input alone."""

OUTPUTS = (
    *("output", "outputs", "target", "targets", "completion", "response", "answer", "answers", "label_text"),
    *("label", "labels", "summary", "highlights", "solution", "category", "class", "intent", "sentiment"),
    *("reference", "human_reference", "ref"),
)
"""Fields that are a target."""

_CONTEXTS = ("input", "inputs", "context", "question", "query")
_SYSTEMS = ("system", "system_prompt")
_WRITTEN_OUT = ("output", "response")
"""Outputs beside which Alpaca's ``text`` repeats the whole of a row, answer and all."""


class Pair(Shape):
    """An input of one or more fields, and a target that may be a list of acceptable ones."""

    def __init__(self, inputs: Sequence[str], output: str) -> None:
        super().__init__("/".join((*inputs, output)), (*inputs, output))
        self.inputs, self.output = tuple(inputs), output

    @classmethod
    def of(cls, fields: Fields) -> Pair | None:
        """Return the shape of a table, if it is one."""
        output = fields.first_of(OUTPUTS)
        inputs = next(filter(None, map(fields.all_of, SEVERAL)), ())
        single = fields.first_of(INPUTS)
        # "input" and "prompt" hold all of it already.
        if single and (not inputs or single.lower() in ("input", "inputs", "prompt")):
            inputs = (single,)
        return cls(inputs, output) if inputs and output and output not in inputs else None

    def unfold(self, where: str, row: Mapping[str, Any]) -> Iterator[Row]:
        """Yield the row."""
        values = [value_of(where, row, field) for field in self.inputs]
        if len(values) > 1:
            named = zip(self.inputs, values, strict=True)
            texts = [as_text(f"{where}, '{field}'", value).strip() for field, value in named]
            input: Any = "\n".join(
                f"{name[:1].upper()}{name[1:]}: {text}" for name, text in zip(self.inputs, texts, strict=True)
            )
        else:
            (input,) = values
        yield where, {"input": input, "target": _targets(where, self.output, row)}


class Alpaca(Shape):
    """Rows with an instruction, perhaps an input, and an output; a system text goes before it."""

    def __init__(self, instruction: str, input: str | None, output: str, system: str | None) -> None:
        name = "Alpaca" if output.lower() == "output" else f"{instruction}/{output}"
        super().__init__(name, [field for field in (system, instruction, input, output) if field])
        self.instruction, self.input, self.output, self.system = instruction, input, output, system

    @classmethod
    def of(cls, fields: Fields) -> Alpaca | None:
        """Return the shape of a table, if it is one."""
        instruction, output = fields.first_of(("instruction",)), fields.first_of(OUTPUTS)
        if not output:
            return None
        contexts = _CONTEXTS if output.lower() in _WRITTEN_OUT else (*_CONTEXTS, "text", "sentence")
        input, system = (fields.first_of(names, rare=True) for names in (contexts, _SYSTEMS))
        if not instruction and input and (told := fields.first_of(("definition", *_SYSTEMS))):
            return cls(told, input, output, None)
        return cls(instruction, input, output, system) if instruction else None

    def unfold(self, where: str, row: Mapping[str, Any]) -> Iterator[Row]:
        """Yield the row; an input that is empty, null or not there is none."""
        instruction = as_text(where, value_of(where, row, self.instruction))
        parts = [row.get(self.system) if self.system else None, instruction]
        input = row.get(self.input) if self.input else None
        yield (
            where,
            {
                "instruction": "\n".join(as_text(where, part).strip() for part in parts if part),
                "input": "" if input is None else as_text(where, input).strip(),
                "target": _targets(where, self.output, row),
            },
        )


def _targets(where: str, field: str, row: Mapping[str, Any]) -> Any:
    """Return a target; of SQuAD's answers, {"text": [...]}, the different ones."""
    value = value_of(where, row, field)
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value = list(dict.fromkeys(value["text"]))
    if field.lower() == "labels" and isinstance(value, list):
        raise InputError(
            f"{where} has a list of '{field}', which are all of its labels and not acceptable answers; say "
            "by a template how they are written, such as {{ text }} ||| {{ labels | join(', ') }}."
        )
    return "" if value == [] else value
