"""The grouping stage: prepare the affinity, group, and set other groupers beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune.affinity import Affinity
from cotune.grouping import GROUPERS, Prepared, Progress, SDPClustering, Stability, objective, prepare
from cotune.studies.grouping._stability import group_stability
from cotune.studies.grouping.config import GroupingConfig

RESAMPLES = 100
"""Bootstrap resamples of the runs over which the stability of the groups is judged."""


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
    stability : Stability or None
        How often the groups came back over resamples of the runs; None where there are too few runs.
    """

    tasks: tuple[str, ...]
    prepared: Prepared
    clustering: SDPClustering
    others: tuple[OtherGroups, ...]
    stability: Stability | None = None

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
            "status": self.clustering.status_,
            "stability": self._stability_dict(),
            "preparation": list(self.prepared.steps),
            "baselines": {
                other.name: {"labels": list(other.labels), "objective": other.objective}
                for other in self.others
            },
        }

    def _stability_dict(self) -> dict[str, Any] | None:
        if self.stability is None:
            return None
        return {
            "resamples": len(self.stability.n_clusters),
            "confidence": dict(zip(self.tasks, self.stability.confidence.tolist(), strict=True)),
            "co_assignment": self.stability.co_assignment.tolist(),
        }


def group_tasks(
    tasks: tuple[str, ...],
    affinity: Affinity,
    config: GroupingConfig,
    *,
    scale: str,
    seed: int = 0,
    baselines: bool = True,
    scores: NDArray[np.float64] | None = None,
    resamples: int = RESAMPLES,
    callback: Progress | None = None,
    k_callback: Callable[[int, float], object] | None = None,
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
    scores : ndarray of shape (m, n), optional
        Scores of the runs whose mean the affinity is (Eq. 6), NaN where a task was not in the run; then the
        stability of the groups is judged as well, see :func:`group_stability`.
    resamples : int
        How many resamples that takes; 0 to leave it out.
    callback : callable, optional
        Called now and then with the iteration, the objective and the bound.
    k_callback : callable, optional
        Called after every k tried, with k and the objective.

    Raises
    ------
    InputError
        If the matrix cannot be prepared as asked, or k does not fit.
    """
    prepared = prepare(affinity.matrix, scale=config.scale or scale, missing=config.missing)
    clustering = SDPClustering(
        config.n_clusters,
        k_max=config.k_max,
        k_rule=config.k_rule,
        callback=callback,
        k_callback=k_callback,
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
    stability = None
    if scores is not None and resamples and clustering.status_ != "interrupted":
        stability = group_stability(
            scores, clustering.labels_, scale=config.scale or scale, resamples=resamples, seed=seed
        )
    return Groups(tasks, prepared, clustering, others, stability)


def describe_groups(members: Sequence[Sequence[str]]) -> list[str]:
    """One group a line."""
    return [f"group-{number}: {', '.join(group)}" for number, group in enumerate(members)]


def _labels(grouper: Any, matrix: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(label) for label in grouper.fit(matrix).labels_)
