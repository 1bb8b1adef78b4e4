"""Rows of strangers' files: what can be an example is one; the rest is dropped, counted and said."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cotune._steps import TooMuchWorkError
from cotune.exceptions import InputError
from cotune.tasks._task import Example

_Row = TypeVar("_Row")


class Unusable:
    """What of a task's rows could not be used, over all of its splits.

    Parameters
    ----------
    folder : Path, optional
        Where the task's files are, which notes leave out.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = "" if folder is None else f"{folder}{os.sep}"
        self._rows = 0
        self._dropped = 0
        self._first_dropped = ""
        self._without = 0
        self._first_without = ""
        self._left_out: list[str] = []

    def splits(
        self,
        tables: Mapping[str, Iterable[tuple[str, _Row | InputError]]],
        examples: Callable[[Iterable[tuple[str, _Row | InputError]]], list[Example]],
        wheres: Mapping[str, object],
    ) -> dict[str, list[Example]]:
        """Make the examples of every split, without those held-out splits that have none.

        Parameters
        ----------
        tables : mapping of str to iterable of (str, row or InputError)
            The rows of every split, as :meth:`examples` takes them.
        examples : callable
            Makes examples of the rows of a split, and counts here.
        wheres : mapping of str to object
            Where the rows of every split stand, for errors.

        Raises
        ------
        InputError
            If the split to train on has no row that can be used, or none of the splits has: what is wrong.
        """
        found: dict[str, list[Example]] = {}
        problems: dict[str, InputError] = {}
        for split, rows in tables.items():
            before = self._rows
            try:
                found[split] = examples(rows)
                if found[split]:
                    continue
                problem = InputError(f"{wheres[split]} has no instances; a task needs at least one.")
                self._left_out.append(f"{split} was left out, since it has no rows")
            except TooMuchWorkError:
                raise
            except InputError as error:
                problem = error
                self._left_out.append(
                    f"{split} was left out, since none of its {self._rows - before} rows can be used"
                )
            problems[split] = problem
            found.pop(split, None)
        if problems and ("train" in problems or not found):
            raise problems.get("train", next(iter(problems.values())))
        return found

    def examples(
        self,
        rows: Iterable[tuple[str, _Row | InputError]],
        texts: Callable[[str, _Row], tuple[Any, Sequence[Any]]],
        choices: Sequence[str] = (),
    ) -> list[Example]:
        """Make an example of every row that can be one.

        Parameters
        ----------
        rows : iterable of (str, row or InputError)
            The rows of a split, each with where it stands; an error in place of one that cannot be read.
        texts : callable (where, row) -> (input, targets)
            What the example is to hold; an InputError where the row does not have it.
        choices : sequence of str
            The closed set of answers.

        Raises
        ------
        InputError
            If there are rows but none can be used: the error of the first.
        """
        found: list[Example] = []
        first: InputError | None = None
        for where, row in rows:
            self._rows += 1
            try:
                if isinstance(row, InputError):
                    raise row
                input, targets = texts(where, row)
                example = make_example(where, input, targets, choices)
            except TooMuchWorkError:
                raise
            except InputError as error:
                first = first or error
                self._first_dropped = self._first_dropped or str(error).rstrip(".")
                self._dropped += 1
                continue
            if len(example.targets) < len(targets):
                self._first_without = self._first_without or where
                self._without += 1
            found.append(example)
        if first is not None and not found:
            raise first
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence each for splits left out, examples dropped, and outputs dropped beside others."""
        dropped = []
        if self._dropped:
            dropped.append(
                f"{self._dropped} of {self._rows} examples dropped as unusable (the first: "
                f"{self._first_dropped})"
            )
        return (*self._left_out, *map(self._short, dropped), *self.of_outputs)

    @property
    def of_outputs(self) -> tuple[str, ...]:
        """A sentence for outputs dropped beside others, if there are any."""
        if not self._without:
            return ()
        note = (
            f"empty outputs beside others dropped from {self._without} of {self._rows} examples "
            f"(the first: {self._first_without})"
        )
        return (self._short(note),)

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence for every split left out."""
        return tuple(self._left_out)

    def count(self) -> str:
        """Say how many examples were made, how many rows were dropped and why the first."""
        made = f"{self._rows - self._dropped:,} examples"
        if not self._dropped:
            return made
        return self._short(f"{made}, {self._dropped:,} dropped (the first: {self._first_dropped})")

    def _short(self, note: str) -> str:
        return note.replace(self._folder, "") if self._folder else note


def make_example(where: str, input: Any, targets: Sequence[Any], choices: Sequence[str] = ()) -> Example:
    """Return an example without outer white space and empty targets, checked to be one to train on.

    Parameters
    ----------
    where : str
        Where it stands, for errors.
    input, targets, choices
        See :class:`cotune.tasks.Example`; numbers and booleans become the text that JSON writes for them.

    Raises
    ------
    InputError
        If all targets are empty, or a text is no text or holds half of a surrogate pair.
    """
    texts = [as_text(where, value).strip() for value in (input, *targets)]
    for text in texts:
        check_unicode(where, text)
    example = Example(texts[0], tuple(filter(None, texts[1:])), tuple(choices))
    if not example.targets:
        raise InputError(
            f"{where} has an empty target; every example needs text to be trained on and scored with."
        )
    return example


def as_text(where: str, value: Any) -> str:
    """Return a text as it is, and a number or boolean as JSON writes it: 1 as "1", true as "true".

    Raises
    ------
    InputError
        If it is anything else, or a number that JSON has not (NaN, Infinity).
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    raise InputError(f"{where} has {name_of(value)} where text belongs; it has to be a text or a number.")


def text_only(where: str, value: Any) -> str:
    """Return a text that can be written.

    Raises
    ------
    InputError
        If it is none, or holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise InputError(f"{where} has to be a text, but is {name_of(value)}.")
    check_unicode(where, value)
    return value


def name_of(value: Any) -> str:
    """Return what a value is that is no text, in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), f"the value {value}")
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a value of type {type(value).__name__}"


def check_unicode(where: str, text: str) -> None:
    """Check that a text can be written.

    Raises
    ------
    InputError
        If it holds half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where} has half of a surrogate pair ({text[error.start]!r}), which is not a character; "
            "text has to be valid Unicode."
        ) from None
