"""Questions with options of their own, answered by letter."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cotune.exceptions import InputError
from cotune.tasks.readers._rows import as_text
from cotune.tasks.readers.containers import Row
from cotune.tasks.readers.shapes._base import Fields, Shape, value_of

_OPTIONS = ("choices", "options", "endings")
_QUESTIONS = ("question", "input", "prompt", "query", "ctx", "text")
_ANSWERS = ("answerkey", "answer", "answer_idx", "answer_index", "label", "target", "output")
_CONTEXTS = ("context", "passage", "article", "support")


class MultipleChoice(Shape):
    """A question, its options and which of them is right: its number, its letter or its text."""

    def __init__(self, context: str | None, question: str, options: str, answer: str, first: int) -> None:
        used = [field for field in (context, question, options, answer) if field]
        super().__init__(f"multiple choice ({', '.join(used)})", used)
        self.context, self.question, self.options, self.answer = context, question, options, answer
        self.first = first

    @classmethod
    def of(cls, fields: Fields) -> MultipleChoice | None:
        """Return the shape of a table, if it is one."""
        options, question = fields.first_of(_OPTIONS), fields.first_of(_QUESTIONS)
        answer = fields.first_of(_ANSWERS)
        if not options or not question or not answer:
            return None
        listed = [_listed(value) for value in fields.values(options)]
        if not listed or not all(listed):
            return None
        # Numbers that never are 0 and reach the number of options count from 1.
        numbers = [value for value in fields.values(answer) if isinstance(value, int)]
        largest = max(len(texts) for _, texts in listed)
        first = int(bool(numbers) and min(numbers) >= 1 and max(numbers) == largest)
        return cls(fields.first_of(_CONTEXTS), question, options, answer, first)

    def unfold(self, where: str, row: Mapping[str, Any]) -> Iterator[Row]:
        """Yield the question with its options, and the letter of the right one."""
        names, texts = _listed(value_of(where, row, self.options))
        if not 2 <= len(texts) <= len(string.ascii_uppercase):
            raise InputError(f"{where} has {len(texts)} options; a choice is among 2 to 26.")
        right = self._right(where, value_of(where, row, self.answer), names, texts)
        context = row.get(self.context) if self.context else None
        parts = [*([context] if context else []), value_of(where, row, self.question)]
        letters = string.ascii_uppercase
        lines = [as_text(where, part).strip() for part in parts]
        lines += [f"{letters[at]}. {as_text(where, text).strip()}" for at, text in enumerate(texts)]
        yield where, {"input": "\n".join(lines), "target": letters[right]}

    def _right(self, where: str, answer: Any, names: Sequence[str], texts: Sequence[Any]) -> int:
        if isinstance(answer, int) and not isinstance(answer, bool):
            if 0 <= answer - self.first < len(texts):
                return answer - self.first
        else:
            said = as_text(where, answer).strip()
            for known in (list(names), [as_text(where, text).strip() for text in texts]):
                if said in known:
                    return known.index(said)
            if said.isdigit() and int(said) < len(texts):
                return int(said)
        raise InputError(f"{where} has the answer {answer!r}, which is none of its {len(texts)} options.")


def _listed(value: Any) -> tuple[list[str], list[Any]]:
    """Return the names and texts of options: a list, {"label": [...], "text": [...]}, or texts by name."""
    letters = list(string.ascii_uppercase)
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        texts = value["text"]
        return [str(name) for name in value.get("label", letters)], texts
    if isinstance(value, Mapping):
        return [str(name) for name in value], list(value.values())
    return (letters[: len(value)], list(value)) if isinstance(value, list) else ([], [])
