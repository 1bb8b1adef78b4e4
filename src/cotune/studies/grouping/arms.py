"""The arms of the comparison (Table 2 of AdaGroup): ways to spread the same training over adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Partition = list[tuple[str, ...]]
"""Sets of tasks trained together, every task in one."""


def grouped(tasks: Sequence[str], labels: Sequence[int], seed: int) -> Partition:
    """One adapter for each group found."""
    groups: dict[int, list[str]] = {}
    for task, label in zip(tasks, labels, strict=True):
        groups.setdefault(label, []).append(task)
    return [tuple(sorted(groups[label])) for label in sorted(groups)]


def joint(tasks: Sequence[str], labels: Sequence[int], seed: int) -> Partition:
    """One adapter on all tasks."""
    return [tuple(sorted(tasks))]


def single(tasks: Sequence[str], labels: Sequence[int], seed: int) -> Partition:
    """One adapter for each task."""
    return [(task,) for task in tasks]


def random(tasks: Sequence[str], labels: Sequence[int], seed: int) -> Partition:
    """Draw groups of the same sizes as those found, anew for every seed."""
    shuffled = np.random.default_rng((seed, len(tasks))).permutation(len(tasks))
    return grouped([tasks[i] for i in shuffled], labels, seed)


ARMS: dict[str, Callable[[Sequence[str], Sequence[int], int], Partition]] = {
    "grouped": grouped,
    "joint": joint,
    "single": single,
    "random": random,
}
"""The names a study file may write under ``comparison.arms``."""
