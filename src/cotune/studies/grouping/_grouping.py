"""The grouping stage: prepare the affinity, group, and set other groupers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune.affinity import Affinity
from cotune.grouping import GROUPERS, Prepared, SDPClustering, objective, prepare
from cotune.grouping.sdp import Progress
from cotune.studies.grouping.config import GroupingConfig

_FEW = 100
"""Tasks up to which cross-validating the number of groups takes seconds."""


@dataclass(frozen=True)
class OtherGroups:
    """What another grouper made of the same matrix with the same k."""

    name: str
    labels: tuple[int, ...]
    objective: float


@dataclass(frozen=True)
class Groups:
    """The groups of a study.

    Parameters
    ----------
    tasks : tuple of str
        All tasks, in the order of the labels.
    prepared : Prepared
        The matrix that was clustered and how it came about.
    clustering : SDPClustering
        The fitted estimator, with value, bound and the path of k.
    others : tuple of OtherGroups
        The baselines.
    """

    tasks: tuple[str, ...]
    prepared: Prepared
    clustering: SDPClustering
    others: tuple[OtherGroups, ...]

    @property
    def labels(self) -> tuple[int, ...]:
        """Group of every task, numbered by first appearance."""
        return tuple(int(label) for label in self.clustering.labels_)

    @property
    def members(self) -> list[tuple[str, ...]]:
        """Tasks of every group."""
        return [
            tuple(t for t, label in zip(self.tasks, self.labels, strict=True) if label == group)
            for group in range(self.clustering.n_clusters_)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``groups.json`` holds."""
        return {
            "tasks": list(self.tasks),
            "groups": [list(group) for group in self.members],
            "labels": list(self.labels),
            "k": int(self.clustering.n_clusters_),
            "objective": float(self.clustering.objective_),
            "sdp_value": float(self.clustering.sdp_value_),
            "upper_bound": float(self.clustering.upper_bound_),
            "gap": float(self.clustering.gap_),
            "certified": bool(self.clustering.certified_),
            "preparation": list(self.prepared.steps),
            "baselines": {
                other.name: {"labels": list(other.labels), "objective": other.objective}
                for other in self.others
            },
        }


def group_tasks(
    tasks: tuple[str, ...],
    affinity: Affinity,
    config: GroupingConfig,
    *,
    scale: str,
    seed: int = 0,
    baselines: bool = True,
    callback: Progress | None = None,
) -> Groups:
    """Group tasks by their affinity.

    Parameters
    ----------
    tasks : tuple of str
        Names, in the order of the matrix.
    affinity : Affinity
        The estimate.
    config : GroupingConfig
        Number of groups and preparation.
    scale : str
        How rows are put on one scale where the configuration does not say.
    seed : int
        Of the heuristics' random starts.
    baselines : bool
        Whether spectral clustering and Lloyd's algorithm are set beside.
    callback : callable, optional
        Called now and then with the iteration, the objective and the bound.

    Raises
    ------
    InputError
        If the matrix cannot be prepared as asked, or k does not fit.
    """
    prepared = prepare(affinity.matrix, scale=config.scale or scale, missing=config.missing)
    clustering = SDPClustering(
        config.n_clusters,
        k_max=config.k_max,
        k_rule=config.k_rule or _default_rule(len(tasks)),
        callback=callback,
        random_state=seed,
    )
    clustering.fit(prepared.matrix)
    k = int(clustering.n_clusters_)
    others = tuple(
        OtherGroups(name, labels, objective(prepared.matrix, labels))
        for name, grouper in GROUPERS.items()
        if baselines and name != "sdp"
        for labels in (_labels(grouper(k, random_state=seed), prepared.matrix),)
    )
    return Groups(tasks, prepared, clustering, others)


def describe_groups(members: Sequence[Sequence[str]]) -> list[str]:
    """One group a line."""
    return [f"group-{number}: {', '.join(group)}" for number, group in enumerate(members)]


def _default_rule(n: int) -> str:
    # On gradient cosines of sixteen real tasks in six families BIC saw three groups, cross-validation seven.
    return "entry_cv" if n <= _FEW else "bic"


def _labels(grouper: Any, matrix: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(label) for label in grouper.fit(matrix).labels_)
