"""Which training tasks an arm's models see: all of one pattern, or the groups of a grouping study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cotune._json import parse_json
from cotune.exceptions import InputError
from cotune.studies.engine import choose
from cotune.studies.transfer.config import Arm

_FILE = "groups.json"


def groups_of(arm: Arm, train: Sequence[str], base: Path, where: str) -> dict[str, tuple[str, ...]]:
    """Return the training tasks of each of an arm's models, by the name of its group.

    Parameters
    ----------
    arm : Arm
        The arm.
    train : sequence of str
        Names of the study's training tasks.
    base : Path
        Folder that a relative path starts from.
    where : str
        The study file, to open an error message with.

    Raises
    ------
    InputError
        If a pattern fits nothing, or the groups are no file of a grouping study or hold no training task.
    """
    seen = choose(arm.tasks, train, f"{where}: {arm.label}: tasks")
    if arm.groups is None:
        return {"": seen}
    path = base / arm.groups
    file = path / _FILE if path.is_dir() else path
    try:
        groups: Sequence[Sequence[str]] = parse_json(file.read_text(encoding="utf-8"))["groups"]
        found = {
            f"group-{number}": tuple(task for task in seen if task in members)
            for number, members in enumerate(groups)
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{where}: {arm.label}: groups: {file} is no groups.json of a grouping study ({error})."
        ) from error
    found = {name: members for name, members in found.items() if members}
    if not found:
        raise InputError(f"{where}: {arm.label}: groups: no group of {file} holds a training task.")
    return found
