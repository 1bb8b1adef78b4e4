"""Questions with options of their own, answered by letter."""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cotune.exceptions import InputError
from cotune.tasks.readers._rows import as_text
from cotune.tasks.readers.containers import Row
from cotune.tasks.readers.shapes._base import Fields, Shape, value_of

_OPTIONS = ("choices", "options", "endings")
_SPREAD = re.compile(r"(choice|option|ending|answer|sol|solution|candidate|op)_?([0-9]|[a-h])|([a-h])")
"""Names of columns with an option each: choice1, option_a, ending0, or letters alone."""
_QUESTIONS = (
    *("question", "input", "prompt", "query", "ctx", "text"),
    *("sentence", "goal", "startphrase", "premise"),
)
_ANSWERS = (
    *("answerkey", "answer", "answer_idx", "answer_index", "correct_answer", "correct_option", "correct"),
    *("label", "gold", "cop", "target", "output"),
)
_CONTEXTS = ("context", "passage", "article", "support", "premise")


class MultipleChoice(Shape):
    """A question, its options and which of them is right: its number, its letter or its text."""

    def __init__(
        self, context: str | None, question: str, options: Sequence[str], answer: str, first: int
    ) -> None:
        used = [field for field in (context, question, *options, answer) if field]
        super().__init__(f"multiple choice ({', '.join(used)})", used)
        self.context, self.question, self.options, self.answer = context, question, tuple(options), answer
        self.first = first

    @classmethod
    def of(cls, fields: Fields) -> MultipleChoice | None:
        """Return the shape of a table, if it is one."""
        question, answer = fields.first_of(_QUESTIONS), fields.first_of(_ANSWERS)
        if not question or not answer:
            return None
        options = fields.first_of(_OPTIONS)
        columns = [options] if options else _spread(fields)
        sizes = [len(_listed(value)[1]) for value in fields.values(options)] if options else [len(columns)]
        if not sizes or not all(sizes):
            return None
        context = fields.first_of([name for name in _CONTEXTS if name != question.strip().lower()])
        shape = cls(context, question, columns, answer, _first(fields.values(answer), max(sizes)))
        # Columns of letters may be anything: options they are where the answers say which of them is right.
        return shape if options or shape._tells(fields) else None

    def unfold(self, where: str, row: Mapping[str, Any]) -> Iterator[Row]:
        """Yield the question with its options, and the letter of the right one."""
        names, texts = self._options(where, row)
        if not 2 <= len(texts) <= len(string.ascii_uppercase):
            raise InputError(f"{where} has {len(texts)} options; a choice is among 2 to 26.")
        right = self._right(where, value_of(where, row, self.answer), names, texts)
        context = row.get(self.context) if self.context else None
        parts = [*([context] if context else []), value_of(where, row, self.question)]
        letters = string.ascii_uppercase
        lines = [as_text(where, part).strip() for part in parts]
        lines += [f"{letters[at]}. {as_text(where, text).strip()}" for at, text in enumerate(texts)]
        yield where, {"input": "\n".join(lines), "target": letters[right]}

    def _options(self, where: str, row: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
        if len(self.options) == 1:
            return _listed(value_of(where, row, self.options[0]))
        there = [name for name in self.options if row.get(name) not in (None, "")]
        return list(string.ascii_uppercase[: len(there)]), [row[name] for name in there]

    def _right(self, where: str, answer: Any, names: Sequence[str], texts: Sequence[Any]) -> int:
        number = _number(answer)
        if not isinstance(answer, int):
            said = as_text(where, answer).strip()
            for known in (list(names), [as_text(where, text).strip() for text in texts]):
                if said in known:
                    return known.index(said)
        if number is not None and 0 <= number - self.first < len(texts):
            return number - self.first
        raise InputError(f"{where} has the answer {answer!r}, which is none of its {len(texts)} options.")

    def _tells(self, fields: Fields) -> bool:
        """Whether nine of ten answers are one of the options."""
        told = 0
        for row in fields.rows:
            try:
                self._right("", row.get(self.answer), *self._options("", row))
            except InputError:
                continue
            told += 1
        return 10 * told >= 9 * len(fields.rows)


def _spread(fields: Fields) -> list[str]:
    """Return the columns that hold an option each, two at least, or none."""
    found: dict[str, list[str]] = {}
    for name in fields.names:
        if (match := _SPREAD.fullmatch(name.strip().lower())) and fields.first_of([name.strip().lower()]):
            found.setdefault(match[1] or "", []).append(name)
    columns = next((sorted(names, key=str.lower) for names in found.values() if len(names) > 1), [])
    last = [name.strip().lower()[-1] for name in columns]
    in_turn = [ord(b) - ord(a) for a, b in itertools.pairwise(last)]
    return columns if last[:1] in (["0"], ["1"], ["a"]) and set(in_turn) == {1} else []


def _number(answer: Any) -> int | None:
    """Return a number, written as one or as text."""
    if isinstance(answer, bool):
        return None
    text = str(answer).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _first(answers: Sequence[Any], largest: int) -> int:
    """Return what options are counted from: 1 where no number is 0 and one is that of the last option."""
    numbers = [number for answer in answers if (number := _number(answer)) is not None]
    return int(bool(numbers) and min(numbers) >= 1 and max(numbers) == largest)


def _listed(value: Any) -> tuple[list[str], list[Any]]:
    """Return the names and texts of options: a list, {"label": [...], "text": [...]}, or texts by name."""
    letters = list(string.ascii_uppercase)
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        texts = value["text"]
        return [str(name) for name in value.get("label", letters)], texts
    if isinstance(value, Mapping):
        return [str(name) for name in value], list(value.values())
    return (letters[: len(value)], list(value)) if isinstance(value, list) else ([], [])
