"""The grouping stage: prepare the affinity, group, judge how sure the groups are, set others beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief
from cotune.affinity import Affinity, higher_order
from cotune.exceptions import InputError
from cotune.grouping import (
    GROUPERS,
    Prepared,
    Progress,
    SDPClustering,
    Stability,
    bootstrap,
    objective,
    prepare,
)
from cotune.studies.grouping._describe import describe_groups, describe_proof, describe_stability
from cotune.studies.grouping._gain import GainGroups, to_dict
from cotune.studies.grouping._gain_words import describe_gain, describe_units
from cotune.studies.grouping.config import GroupingConfig, GroupingStudyConfig
from cotune.studies.grouping.estimators import Estimate, FoundGroups

RUNS_PER_PAIR = 2.0
"""Mean number of runs behind a pair of tasks below which resampling them says nothing."""

UP_TO_TASKS = 200
"""Tasks beyond which clustering a hundred times takes minutes."""


def group_stability(
    scores: NDArray[np.float64],
    labels: NDArray[np.intp],
    *,
    scale: str,
    resamples: int,
    seed: int,
    partition: str = "density",
) -> Stability | None:
    """Cluster resamples of the runs into as many groups and compare.

    Pairs that a resample leaves without any run are completed by row and column means, so the frequencies
    are on the cautious side when pairs have few runs.

    Parameters
    ----------
    scores : ndarray of shape (m, n)
        f_i(S) of every run, higher is better, NaN where task i was not in it.
    labels : ndarray of shape (n,)
        The groups found on all runs.
    scale : str
        Of :func:`cotune.grouping.prepare`.
    resamples : int
        How many, at least 1.
    seed : int
        Of the resampling.
    partition : str
        Which partition of a resample is compared; see :class:`cotune.grouping.SDPClustering`.

    Returns
    -------
    Stability or None
        None where there are too few runs to resample or too many tasks to cluster so often, and for a single
        group, which no resample can split.
    """
    inside = ~np.isnan(scores)
    m, n = scores.shape
    k = int(labels.max()) + 1
    pairs = float((inside.sum(axis=1) * (inside.sum(axis=1) - 1)).sum()) / max(n * (n - 1), 1)
    if pairs < RUNS_PER_PAIR or n > UP_TO_TASKS or k in (1, n):
        return None

    def estimate(runs: NDArray[np.intp]) -> NDArray[np.float64]:
        affinity = higher_order(inside[runs], scores[runs])
        return prepare(affinity.matrix, scale=scale, missing="complete").matrix

    # Only the partition matters here: no exact search, and no more of the relaxation than finds it.
    grouper = SDPClustering(k, tol=1e-3, max_iter=30, exact_max=0, partition=partition, random_state=seed)
    try:
        return bootstrap(estimate, m, grouper, n_resamples=resamples, random_state=seed, reference=labels)
    except InputError:  # a task was left without any run in most resamples
        return None


RESAMPLES = 100
"""Bootstrap resamples of the runs over which the stability of the groups is judged."""

_FOUND_ITERATIONS = 30
"""Iterations spent on a bound for groups that were found otherwise."""


@dataclass(frozen=True)
class OtherGroups:
    """What another grouper made of the same matrix with the same k."""

    name: str
    labels: tuple[int, ...]
    objective: float


@dataclass(frozen=True)
class Groups(Brief):
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
    found : FoundGroups or None
        The groups, where the estimator found them itself; then ``clustering`` is another grouper on the
        same matrix with as many groups, whose bound holds for them too.
    source : str
        What the affinities are of.
    gain : GainGroups or None
        The groups of largest predicted gain, where they are the answer; then ``clustering``, ``objective``,
        ``gap``, ``certified`` and ``stability`` are of the groups by density beside them.
    note : str
        Why the groups are not those of largest predicted gain, where runs were given.
    """

    tasks: tuple[str, ...]
    prepared: Prepared
    clustering: SDPClustering
    others: tuple[OtherGroups, ...]
    stability: Stability | None = None
    found: FoundGroups | None = None
    source: str = "affinity matrix"
    gain: GainGroups | None = None
    note: str = ""

    @property
    def labels(self) -> tuple[int, ...]:
        """Group of every task, numbered by first appearance."""
        if self.gain is not None:
            return self.gain.labels
        return self.density_labels

    @property
    def density_labels(self) -> tuple[int, ...]:
        """Group of every task by density, or as the estimator found them."""
        labels = self.clustering.labels_ if self.found is None else self.found.labels
        return tuple(int(label) for label in labels)

    @property
    def objective(self) -> float:
        """Sum of the densities of the groups (Eq. 3) on the matrix that was clustered."""
        if self.found is None:
            return float(self.clustering.objective_)
        return objective(self.prepared.matrix, self.found.labels)

    @property
    def gap(self) -> float:
        """Distance of the objective from the bound, relative as :attr:`SDPClustering.gap_`."""
        clustering = self.clustering
        if self.found is None:
            return float(clustering.gap_)
        everyone = float(self.prepared.matrix.sum()) / len(self.tasks)
        unit = max(abs(clustering.objective_ - everyone), abs(clustering.sdp_value_ - everyone))
        return float((clustering.upper_bound_ - self.objective) / unit) if unit > 0 else 0.0

    @property
    def certified(self) -> bool:
        """Whether the bound proves the groups optimal among partitions into as many."""
        return bool(self.gap <= self.clustering.tol) if self.found else bool(self.clustering.certified_)

    @property
    def members(self) -> list[tuple[str, ...]]:
        """Tasks of every group."""
        return groups_of(self.tasks, self.labels)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield "members", self.members
        if self.gain is not None:
            yield "predicted_gain", self.gain.over_alone
        yield from ((name, getattr(self, name)) for name in ("objective", "gap", "certified", "source"))

    def sentences(self) -> Sequence[str]:
        """Say what was grouped and how, the groups, their proof and how sure they are, a line each."""
        lines = [f"{len(self.tasks)} tasks, {self.source}"]
        preparation = [f"  {step}" for step in self.prepared.steps]
        if self.gain is None:
            lines += [
                *([f"  {self.note}"] if self.note else []),
                *preparation,
                *describe_groups(self.members),
            ]
        else:
            lines += [f"  {line}" for line in describe_units(self.tasks, self.gain)]
            lines += [*describe_groups(self.members), *describe_gain(self.tasks, self.gain)]
            lines += self._beside(self.gain)
        lines.append(describe_proof(self.clustering))
        return lines if self.stability is None else [*lines, describe_stability(self.tasks, self.stability)]

    def _beside(self, gain: GainGroups) -> list[str]:
        if self.density_labels == gain.labels:
            return ["by density the same groups:"]
        value = f"{100 * gain.value_of(self.density_labels) + 0.0:+.2f} %"
        members = groups_of(self.tasks, self.density_labels)
        return [
            f"by density, with a predicted gain of {value} a task:",
            *(f"  {', '.join(m)}" for m in members),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``groups.json`` holds.

        ``groups``, ``labels`` and ``k`` are the answer, by what ``answer`` says; objective, bounds, proof and
        stability are of the grouping by density, whose groups ``density`` repeats where they are others.
        """
        return self._density_dict() | ({} if self.gain is None else self._gain_dict(self.gain))

    def _gain_dict(self, gain: GainGroups) -> dict[str, Any]:
        members = groups_of(self.tasks, self.density_labels)
        return {
            "k": len(self.members),
            "answer": "gain",
            "gain": to_dict(gain, self.tasks),
            "density": {
                "groups": [list(group) for group in members],
                "labels": list(self.density_labels),
                "predicted_gain": gain.value_of(self.density_labels),
            },
        }

    def _density_dict(self) -> dict[str, Any]:
        return {
            "tasks": list(self.tasks),
            "groups": [list(group) for group in self.members],
            "labels": list(self.labels),
            "k": int(self.clustering.n_clusters_),
            "objective": self.objective,
            "sdp_value": float(self.clustering.sdp_value_),
            "upper_bound": float(self.clustering.upper_bound_),
            "gap": self.gap,
            "certified": self.certified,
            "status": self.clustering.status_,
            **self._evidence_dict(),
            "stability": self._stability_dict(),
            "preparation": list(self.prepared.steps),
            "baselines": {
                other.name: {"labels": list(other.labels), "objective": other.objective}
                for other in self.others
            },
        }

    def _evidence_dict(self) -> dict[str, Any]:
        """How sure k is, and the densest groups where others were taken."""
        found = self.clustering
        ranked = list(found.k_weights_)
        labels = [int(label) for label in found.density_labels_]
        densest = {
            "labels": labels,
            "groups": [list(group) for group in groups_of(self.tasks, labels)],
            "objective": float(found.density_objective_),
            "gap": float(found.density_gap_),
            "certified": bool(found.density_certified_),
        }
        return {
            "k_rule": found.k_rule_ if found.k_path_ else None,
            "k_weights": {str(k): share for k, share in found.k_weights_.items()},
            "k_runner_up": ranked[1] if len(ranked) > 1 else None,
            "partition": found.partition_,
            "densest": densest,
        }

    def _stability_dict(self) -> dict[str, Any] | None:
        if self.found is not None:
            confidence = dict(zip(self.tasks, self.found.confidence.tolist(), strict=True))
            return {"resamples": self.found.resamples, "confidence": confidence}
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
    source: str = "affinity matrix",
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
    source : str
        What the affinities are of.

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
    clustering.fit(prepared.matrix, weights=_weights(affinity))
    others = _others(prepared.matrix, int(clustering.n_clusters_), seed) if baselines else ()
    stability = None
    if scores is not None and resamples and clustering.status_ != "interrupted":
        stability = group_stability(
            scores,
            clustering.labels_,
            scale=config.scale or scale,
            resamples=resamples,
            seed=seed,
            partition=clustering.partition_,
        )
    return Groups(tasks, prepared, clustering, others, stability, source=source)


def _weights(affinity: Affinity) -> NDArray[np.float64] | None:
    """Return what each entry is worth beside the others: how many measurements it averages.

    Standard errors stand in where there are no counts; single ones of few measurements are too rough to use.
    """
    off = ~np.eye(len(affinity.matrix), dtype=bool)
    counts = np.where(np.isnan(affinity.matrix), 0, affinity.counts)[off]
    if counts.max(initial=0) > 1 and counts.min(initial=0) != counts.max(initial=0):
        return np.where(np.isnan(affinity.matrix), 0.0, affinity.counts.astype(float))
    known = off & np.isfinite(affinity.stderr) & (affinity.stderr > 0)
    if counts.max(initial=0) <= 1 and known[off & ~np.isnan(affinity.matrix)].all() and known.any():
        floor = 0.2 * float(np.median(affinity.stderr[known]))
        return np.where(known, 1.0 / np.maximum(affinity.stderr, floor) ** 2, 0.0)
    if np.isnan(affinity.matrix[off]).any() and (counts > 0).any():
        return (~np.isnan(affinity.matrix)).astype(float)
    return None


def group_estimate(
    tasks: tuple[str, ...], estimate: Estimate, config: GroupingStudyConfig, *, baselines: bool = True
) -> Groups:
    """Group tasks by an estimate of their affinity, or take the groups the estimator found itself.

    Parameters
    ----------
    tasks : tuple of str
        Names, in the order of the matrix.
    estimate : Estimate
        What the affinity stage gave.
    config : GroupingStudyConfig
        The study's.
    baselines : bool
        Whether other groupers are set beside.

    Raises
    ------
    InputError
        As :func:`group_tasks`.
    """
    if estimate.found is not None:
        return _found_groups(tasks, estimate.found, config.seed, baselines)
    return group_tasks(
        tasks,
        estimate.affinity,
        config.grouping,
        scale=config.affinity.scale,
        seed=config.seed,
        baselines=baselines,
        scores=estimate.scores,
    )


def _found_groups(tasks: tuple[str, ...], found: FoundGroups, seed: int, baselines: bool) -> Groups:
    prepared = prepare(found.matrix, scale="none")
    k = int(found.labels.max()) + 1
    # Only its bound and its groups beside the found ones matter here, not a proof to the last digit.
    clustering = SDPClustering(
        k, tol=1e-3, max_iter=_FOUND_ITERATIONS, warm_start=found.labels, random_state=seed
    )
    clustering.fit(prepared.matrix)
    sdp = tuple(int(label) for label in clustering.labels_)
    others: tuple[OtherGroups, ...] = (OtherGroups("sdp", sdp, float(clustering.objective_)),)
    if baselines:
        others += _others(prepared.matrix, k, seed)
    steps = (*found.steps, *prepared.steps)
    return Groups(tasks, Prepared(prepared.matrix, steps), clustering, others, found=found)


def _others(matrix: NDArray[np.float64], k: int, seed: int) -> tuple[OtherGroups, ...]:
    """Group by every baseline."""
    return tuple(
        OtherGroups(name, labels, objective(matrix, labels))
        for name, grouper in GROUPERS.items()
        if name != "sdp"
        for labels in (_labels(grouper(k, random_state=seed), matrix),)
    )


def groups_of(tasks: Sequence[str], labels: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the tasks of every group."""
    members: list[list[str]] = [[] for _ in range(max(labels) + 1)]
    for task, label in zip(tasks, labels, strict=True):
        members[label].append(task)
    return [tuple(group) for group in members]


def _labels(grouper: Any, matrix: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(label) for label in grouper.fit(matrix).labels_)
