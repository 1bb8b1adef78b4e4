"""Notes of many tasks in few lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_NAMED = 3


def note_lines(notes: Mapping[str, Sequence[str]], *, each: bool = False) -> list[str]:
    """Return one line for all tasks of which a note says the same.

    Notes are alike that differ in their numbers alone, of which the line gives the range. What stands in
    parentheses at a note's end is a detail, told where the note is the only one of its kind.

    Parameters
    ----------
    notes : mapping of str to sequence of str
        The notes of every task by its name, also where there is none.
    each : bool
        Whether every note of every task gets a line of its own instead.

    Examples
    --------
    >>> note_lines({"a": ["capped at 8 examples (of 90)"], "b": ["capped at 8 examples (of 20)"], "c": []})
    ['a and b: capped at 8 examples']
    """
    if each:
        return _each(notes)
    alike: dict[str, dict[str, list[str]]] = {}
    for task, of_task in notes.items():
        for note in dict.fromkeys(of_task):
            alike.setdefault(_NUMBER.sub("#", _without_detail(note)), {}).setdefault(task, []).append(note)
    return [line for of_tasks in alike.values() for line in _lines(of_tasks, len(notes))]


def _each(notes: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{task}: {note}" for task, of_task in notes.items() for note in of_task]


def _lines(of_tasks: Mapping[str, Sequence[str]], total: int) -> Iterator[str]:
    if len(of_tasks) == 1:
        yield from _each(of_tasks)
        return
    names = list(of_tasks)
    if len(names) <= _NAMED:
        who = f"{', '.join(names[:-1])} and {names[-1]}"
    elif len(names) == total:
        who = f"all {total} tasks"
    else:
        who = f"{len(names)} of {total} tasks ({', '.join(names[:_NAMED])}, ...)"
    yield f"{who}: {_together([_without_detail(note) for of_task in of_tasks.values() for note in of_task])}"


def _together(notes: Sequence[str]) -> str:
    """Return notes that differ in their numbers alone as one, with the range of each number."""
    ranges = [sorted(set(found), key=_value) for found in zip(*map(_NUMBER.findall, notes), strict=True)]
    told = iter(found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}" for found in ranges)
    return _NUMBER.sub(lambda _: next(told), notes[0])


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _without_detail(note: str) -> str:
    """Return a note without its full stop and the parenthesis that it ends in."""
    note = note.rstrip(".")
    if not note.endswith(")"):
        return note
    depth = 0
    for at in range(len(note) - 1, -1, -1):
        depth += (note[at] == ")") - (note[at] == "(")
        if not depth:
            return note[:at].rstrip() or note
    return note.partition(" (")[0]  # what is quoted in it may hold any parenthesis
