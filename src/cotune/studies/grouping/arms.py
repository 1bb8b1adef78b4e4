"""The arms of the comparison (Table 2 of AdaGroup): ways to spread the same training over adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from cotune.grouping import GROUPERS

Partition: TypeAlias = list[tuple[str, ...]]
"""Sets of tasks trained together, every task in one."""

Found: TypeAlias = Mapping[str, Sequence[int]]
"""The group of every task by who found the groups: "grouped" for the study's own, else a baseline."""

BASELINES = tuple(name for name in GROUPERS if name != "sdp")
"""Other groupers of the same matrix, each with as many groups."""


def groups_of(name: str, tasks: Sequence[str], found: Found, seed: int) -> Partition:
    """One adapter for each group that someone found."""
    return _partition(tasks, found[name])


def joint(tasks: Sequence[str], found: Found, seed: int) -> Partition:
    """One adapter on all tasks."""
    return [tuple(sorted(tasks))]


def single(tasks: Sequence[str], found: Found, seed: int) -> Partition:
    """One adapter for each task."""
    return [(task,) for task in tasks]


def random(tasks: Sequence[str], found: Found, seed: int) -> Partition:
    """Draw groups of the same sizes as those found, anew for every seed."""
    shuffled = np.random.default_rng((seed, len(tasks))).permutation(len(tasks))
    return _partition([tasks[i] for i in shuffled], found["grouped"])


def _partition(tasks: Sequence[str], labels: Sequence[int]) -> Partition:
    groups: dict[int, list[str]] = {}
    for task, label in zip(tasks, labels, strict=True):
        groups.setdefault(label, []).append(task)
    return [tuple(sorted(groups[label])) for label in sorted(groups)]


ARMS: dict[str, Callable[[Sequence[str], Found, int], Partition]] = {
    "grouped": partial(groups_of, "grouped"),
    "joint": joint,
    "single": single,
    "random": random,
    **{name: partial(groups_of, name) for name in BASELINES},
}
"""The names a study file may write under ``comparison.arms``."""

DEFAULT_ARMS = ("grouped", "joint", "single", "random")
"""The arms of a study that names none."""
