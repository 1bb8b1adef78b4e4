"""Files and folders of a study, or of an unfinished tuning, that are not what was written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cotune._files import remove_folder
from cotune._repr import Brief
from cotune._seals import SUMS, damage, file_damage, forget_file, read_json, seal, seal_file
from cotune.evaluation.adapter_files import ADAPTER
from cotune.evaluation.saved_model import ARTEFACT_RECORD
from cotune.exceptions import DamageError

_HOLDS_ARTEFACT = {ADAPTER, ARTEFACT_RECORD, "tuning.pt", "parts.pt"}
_SINGLE = (".npz", ".safetensors", ".bin")
"""Files that have a checksum beside them: what estimators remember, what runs start from, kept states."""
RUN_KEY = "run.txt"
"""What says which run an unfinished tuning is of."""
_KEPT = {"adapters", "models"}
_SHARED = "shared"
_OTHERS = {"tracked"}
"""What trackers write, which is theirs."""
Owns: TypeAlias = Callable[[str], bool]
"""Whether something in a folder is called as what cotune writes there."""
_PLAIN = {"study.json", "groups.json", "results.json"}
"""Whose the folder is has a sentence of its own; the others are written anew by every run, and never read."""


@dataclass(frozen=True)
class Fault(Brief):
    """What is not what was written.

    Parameters
    ----------
    path : Path
        The file or folder with the checksums.
    why : str
        What is wrong with it.
    unit : Path
        What is done again as a whole, and taken away for that.
    """

    path: Path
    why: str
    unit: Path

    def take_away(self, folder: Path, upon: Iterable[Path] = ()) -> None:
        """Remove it from a folder; before, what may build upon it: killed in between, it is found again."""
        for place in (*upon, self.unit):
            if place == folder:
                _empty(folder)
            elif place.is_dir():
                remove_folder(place, folder)
            else:
                forget_file(place)


def damaged(folder: Path, owns: Owns = lambda name: True) -> list[Fault]:
    """Return what of a study's folder, or of one beside a tuning's, is not what was written.

    What lies in the folder under a name that cotune does not give, as ``owns`` tells, is somebody's own.
    """
    return [Fault(path, why, _unit(folder, path)) for path, why in _faults(folder, owns)]


def seal_all(folder: Path, owns: Owns) -> None:
    """Give checksums to what of cotune's has none yet, as it is."""
    for path, why in list(_faults(folder, owns)):
        if why.startswith(_NONE):
            seal(path) if path.is_dir() else seal_file(path)


_NONE = "it has no "


def _faults(folder: Path, owns: Owns) -> Iterator[tuple[Path, str]]:
    for name, folders, files in os.walk(folder):
        place = Path(name)
        if place == folder:
            folders[:] = sorted(one for one in set(folders) - _OTHERS if owns(one))
            files = [file for file in files if owns(file.removesuffix(".sha256"))]
        if SUMS in files or _HOLDS_ARTEFACT & set(files):
            folders.clear()
            why = damage(place)
            if why:
                yield place, why
            continue
        for file in sorted(files):
            why = _of_file(place / file, sealed=f"{file}.sha256" in files)
            if why:
                yield place / file, why


def _of_file(file: Path, sealed: bool) -> str:
    if sealed or file.suffix in _SINGLE:
        return file_damage(file)
    if file.suffix != ".json" or file.name in _PLAIN:
        return ""
    try:
        read_json(file, listed="all")
    except DamageError:
        return "it is not what was written"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return ""


def _empty(folder: Path) -> None:
    for place in sorted(folder.iterdir(), key=lambda path: path.name == RUN_KEY):  # which goes last
        if place.is_dir():
            remove_folder(place, folder)
        elif place.name != ".lock":
            forget_file(place)


def _unit(folder: Path, path: Path) -> Path:
    """Return what is made as a whole: a model, a tuning's state, a file."""
    if path.name == RUN_KEY:  # nothing else tells whose all of it is
        return folder
    parts = path.relative_to(folder).parts
    depth = {**dict.fromkeys(_KEPT, 2), _SHARED: 3}.get(parts[0], len(parts))
    return folder.joinpath(*parts[:depth])
