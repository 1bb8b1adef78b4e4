"""Which tasks a run trained, where a column says so."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotune.affinity.tables._numbers import is_missing

_BETWEEN = re.compile(r"(?:[\s+;|&,/\[\](){}'\"_\-]|\band\b)*")
_EVERYTHING = frozenset(["all", "joint", "everything", "multi", "multitask", "multi-task"])

Membership = NDArray[np.bool_]


def read_subsets(cells: Sequence[str], tasks: Sequence[str]) -> Membership | None:
    """Read names of tasks, whatever stands between them.

    Parameters
    ----------
    cells : sequence of str
        One a run, such as ``"rte+cb"``, ``"['rte', 'cb']"`` or ``"all"``.
    tasks : sequence of str
        All names; the longest that fits is meant.

    Returns
    -------
    ndarray of bool, shape (runs, tasks), or None
        None if a cell holds anything else.
    """
    place = {name: at for at, name in enumerate(tasks)}
    found = np.zeros((len(cells), len(tasks)), dtype=bool)
    pattern = re.compile("|".join(re.escape(name) for name in sorted(tasks, key=len, reverse=True)))
    known: dict[str, list[int] | None] = {}
    for row, cell in enumerate(cells):
        if cell not in known:
            known[cell] = _tasks_of(cell, place, pattern)
        members = known[cell]
        if members is None:
            return None
        found[row, members] = True
    return found


def _tasks_of(cell: str, place: dict[str, int], pattern: re.Pattern[str]) -> list[int] | None:
    text = cell.strip()
    if is_missing(text):
        return None
    if text.lower() in _EVERYTHING and text not in place:
        return list(place.values())
    members, at = [], 0
    while at < len(text):
        between = _BETWEEN.match(text, at)
        start = between.end() if between else at
        if start == len(text):
            break
        # A name may begin with what else stands between names.
        begin = next((b for b in range(at, start + 1) if pattern.match(text, b)), None)
        if begin is None or (begin == at and at > 0):
            return None
        name = pattern.match(text, begin)
        assert name is not None
        members.append(place[name[0]])
        at = name.end()
    return members or None
