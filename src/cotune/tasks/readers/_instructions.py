"""Many instructions for one data set: each makes a task of the same examples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from cotune._yaml import read_yaml
from cotune.exceptions import InputError
from cotune.tasks._names import suggest
from cotune.tasks.readers import _files

Instructions: TypeAlias = list[str] | dict[str, list[str]]
"""Instructions of all tasks, or by the name of the task."""

_EXAMPLE = "a list such as ['Decide whether ...', 'Tell if ...'], or such a list under the name of each task"


def read_instructions(path: Path) -> Instructions:
    """Read instructions from a file.

    Parameters
    ----------
    path : Path
        YAML or JSON: a list of instructions for every task, or such a list under each task's name. An
        instruction is a text, or a mapping whose ``instruction`` is one, such as ``cotune instructions``
        writes.

    Raises
    ------
    InputError
        If the file cannot be read, or an instruction is empty.
    """
    data = read_yaml(path)
    found: Instructions
    if isinstance(data, Mapping):
        found = {str(name): _texts(entries, f"{path}, {name}") for name, entries in data.items()}
    else:
        found = _texts(data, str(path))
    check_instructions(found, str(path))
    return found


def check_instructions(instructions: Instructions, where: str) -> None:
    """Check that there are instructions, and that each says something.

    Raises
    ------
    InputError
        If there is none, or one is empty.
    """
    if isinstance(instructions, dict):
        for name, texts in instructions.items():
            _check(texts, f"{where}, {name}")
        if instructions:
            return
        _check([], where)
    else:
        _check(instructions, where)


def instructions_of(
    instructions: Instructions | Path | None, names: Collection[str], base: Path
) -> dict[str, list[str]]:
    """Return the instructions of every task that has any.

    Parameters
    ----------
    instructions : list, mapping, Path or None
        What a reader was given.
    names : collection of str
        The tasks read.
    base : Path
        The folder that a relative path starts from.

    Raises
    ------
    InputError
        If the file is not usable, or one of several tasks has no instructions.
    """
    if instructions is None:
        return {}
    where = "'instructions'"
    if isinstance(instructions, Path):
        path = _files.existing(base, instructions)
        instructions, where = read_instructions(path), str(path)
    if isinstance(instructions, dict):
        for name in names:
            if name not in instructions:
                raise InputError(f"{where} has none for the task '{name}'; {suggest(name, instructions)}")
        return {name: list(instructions[name]) for name in names}
    return {name: list(instructions) for name in names}


def _texts(entries: Any, where: str) -> list[str]:
    if not isinstance(entries, list):
        raise InputError(f"{where} must be {_EXAMPLE}, got {str(entries)[:40]!r}.")
    texts = []
    for number, entry in enumerate(entries, start=1):
        text = entry.get("instruction") if isinstance(entry, Mapping) else entry
        if not isinstance(text, str):
            raise InputError(
                f"{where}, instruction {number} must be a text, or a mapping whose 'instruction' is one, got "
                f"{str(entry)[:40]!r}."
            )
        texts.append(text)
    return texts


def _check(texts: Sequence[str], where: str) -> None:
    if not texts:
        raise InputError(f"{where} has no instruction; give at least one.")
    for number, text in enumerate(map(str.strip, texts), start=1):
        if not text:
            raise InputError(f"{where}, instruction {number} is empty; give each a text.")
