"""Which runs the affinity stage asks for, and the groups that followed, for a look at a store of many runs.

Both follow from the file and the stored scores, which takes long to work out of ten thousand runs. What is
kept counts where the rows are those it was worked out of, as their checksums tell: no score is read for that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune import __version__
from cotune._seals import forget_file
from cotune.studies.engine import MANY, StoredRow, StoredRows, hash_rows
from cotune.studies.grouping.estimators import Memory

_FORMAT = 1
_FILE = "affinity.npz"


@dataclass(frozen=True)
class Asked:
    """Runs of the affinity stage, and what followed from them.

    Parameters
    ----------
    keys : sequence of str
        Of all runs asked for.
    rows : sequence of StoredRow
        What is stored of them.
    labels : tuple of int, or None
        The groups that followed; None before they are found.
    others : mapping of str to tuple of int
        Those of other groupers.
    """

    keys: Sequence[str]
    rows: Sequence[StoredRow]
    labels: tuple[int, ...] | None
    others: Mapping[str, tuple[int, ...]]

    @property
    def is_complete(self) -> bool:
        """Whether all runs are stored."""
        return len(self.rows) == len(self.keys)


class KeptAsked:
    """What was asked for last, in a file of the study's.

    Parameters
    ----------
    shared : Path
        What the study's runs share.
    decided_by : mapping of str to Any
        What decides it beside what is stored, as plain JSON types.
    """

    def __init__(self, shared: Path, decided_by: Mapping[str, Any]) -> None:
        told = json.dumps([_FORMAT, __version__, decided_by], sort_keys=True, default=str)
        self._identity = hashlib.sha256(told.encode()).hexdigest()
        self._memory = Memory(shared / _FILE)

        self._at_once = True

    def ask(self, keys: Sequence[str]) -> None:
        """Keep which runs are asked for before any score is known; of few runs nothing is kept."""
        if len(keys) < MANY:
            return
        known = self._memory.load(self._identity)
        if known is None or not known["at_once"] or _keys(known) != list(keys):
            self._save(keys, {})

    def ask_further(self) -> None:
        """Take away what is kept: which runs are asked for depends on scores."""
        self._at_once = False
        if self._memory.file.exists():
            forget_file(self._memory.file)

    def follow(
        self,
        keys: Sequence[str],
        stored: StoredRows,
        labels: Sequence[int],
        others: Mapping[str, Sequence[int]],
    ) -> None:
        """Keep the groups that followed from these runs."""
        digest = _digest(keys, stored)
        if digest:
            told = json.dumps({"labels": list(labels), "others": {k: list(v) for k, v in others.items()}})
            self._save(keys, {"rows": np.array(digest), "told": np.array(told)})

    def read(self, rows: Callable[[], StoredRows]) -> Asked | None:
        """Return what is kept, as far as it is of what is stored; None if it does not tell what is asked."""
        known = self._memory.load(self._identity)
        if known is None:
            return None
        keys = _keys(known)
        stored = rows()
        found = [stored[key] for key in keys if key in stored]
        if "told" in known and str(known["rows"]) == _digest(keys, stored):
            told = json.loads(str(known["told"]))
            others = {name: tuple(labels) for name, labels in told["others"].items()}
            return Asked(keys, found, tuple(told["labels"]), others)
        return Asked(keys, found, None, {}) if known["at_once"] else None

    def _save(self, keys: Sequence[str], more: Mapping[str, Any]) -> None:
        told = {"keys": np.array([key.encode() for key in keys]), "at_once": np.array(self._at_once)}
        self._memory.save(self._identity, {**told, **more})


def _keys(known: Mapping[str, NDArray[Any]]) -> list[str]:
    return [key.decode() for key in known["keys"].tolist()]


def _digest(keys: Sequence[str], stored: StoredRows) -> str:
    """Hash what is stored of runs; empty where it is not all of them."""
    if not all(key in stored for key in keys):
        return ""
    return hash_rows((key, stored[key]) for key in keys).hex()
