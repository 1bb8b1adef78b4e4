"""The grouping stage: prepare the affinity, group, judge how sure the groups are, set others beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cotune import grouping
from cotune.affinity import Affinity, higher_order
from cotune.exceptions import InputError
from cotune.grouping import CertifiedGrouping, Prepared, Progress, objective, prepare, shrink
from cotune.studies.grouping._describe import asked_for
from cotune.studies.grouping._gain import gain_groups
from cotune.studies.grouping._groups import Groups, OtherGroups
from cotune.studies.grouping._objective import Objective, weights_of
from cotune.studies.grouping.grouping_config import GroupingConfig, RoundingConfig

if TYPE_CHECKING:
    from cotune.affinity.gain_predictors import PredictorMaker
    from cotune.affinity.gain_units import GainUnit
    from cotune.grouping import Stability
    from cotune.studies.grouping._gain import GainGroups
    from cotune.studies.grouping._kept import Kept

BEST = RoundingConfig()

RUNS_PER_PAIR = 2.0
"""Mean number of runs behind a pair of tasks below which resampling them says nothing."""

UP_TO_TASKS = 200
"""Tasks beyond which clustering a hundred times takes minutes."""

_ITERATIONS, _ITERATIONS_ROUNDED = 30, 500
"""Of the relaxation of a resample: few find the best partition, but a threshold reads X itself."""


def group_stability(
    scores: NDArray[np.float64],
    labels: NDArray[np.intp],
    *,
    scale: str,
    resamples: int,
    seed: int,
    partition: str = "density",
    rounding: RoundingConfig = BEST,
    k: int | None = None,
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
    rounding : RoundingConfig
        How it is rounded.
    k : int, optional
        How many groups are asked for; by default as many as were found on all runs.

    Returns
    -------
    Stability or None
        None where there are too few runs to resample or too many tasks to cluster so often, and for a single
        group, which no resample can split.
    """
    inside = ~np.isnan(scores)
    m, n = scores.shape
    found = int(labels.max()) + 1
    k = k or found
    pairs = float((inside.sum(axis=1) * (inside.sum(axis=1) - 1)).sum()) / max(n * (n - 1), 1)
    if pairs < RUNS_PER_PAIR or n > UP_TO_TASKS or {k, found} & {1, n}:
        return None

    def estimate(runs: NDArray[np.intp]) -> NDArray[np.float64]:
        affinity = higher_order(inside[runs], scores[runs])
        matrix = prepare(affinity.matrix, scale=scale, missing="complete").matrix
        weights = _weights(affinity) if partition == "density" else None
        return matrix if weights is None else shrink(matrix, weights).matrix

    # Only the partition matters here: no exact search, and no more of the relaxation than finds it.
    grouper = CertifiedGrouping(
        k,
        tol=1e-3,
        max_iter=_ITERATIONS if rounding == BEST else _ITERATIONS_ROUNDED,
        exact_max=0,
        partition=partition,
        rounding=rounding.name,
        rounding_c=rounding.c,
        random_state=seed,
    )
    try:
        return grouping.bootstrap(
            estimate, m, grouper, n_resamples=resamples, random_state=seed, reference=labels
        )
    except InputError:  # a task was left without any run in most resamples
        return None


RESAMPLES = 100
"""Bootstrap resamples of the runs over which the stability of the groups is judged."""


def group_tasks(
    tasks: tuple[str, ...],
    affinity: Affinity,
    config: GroupingConfig,
    *,
    scale: str,
    seed: int = 0,
    baselines: bool = True,
    k_baselines: int | None = None,
    scores: NDArray[np.float64] | None = None,
    resamples: int = RESAMPLES,
    callback: Progress | None = None,
    k_callback: Callable[[int, float], object] | None = None,
    source: str = "affinity matrix",
    kept: Kept | None = None,
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
    k_baselines : int, optional
        How many groups they find; by default as many as are found here.
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
    kept : Kept, optional
        Has what was worked out of the same runs before.

    Raises
    ------
    InputError
        If the matrix cannot be prepared as asked, or k does not fit.
    """
    prepared = prepare(affinity.matrix, scale=config.scale or scale, missing=config.missing, tasks=tasks)
    clustering = CertifiedGrouping(
        config.n_clusters,
        k_max=config.k_max,
        k_rule=config.k_rule,
        rounding=config.rounding.name,
        rounding_c=config.rounding.c,
        callback=callback,
        k_callback=k_callback,
        random_state=seed,
    )
    clustering.fit(prepared.matrix, weights=_weights(affinity))
    prepared = _as_clustered(prepared, clustering)
    k = k_baselines or int(clustering.n_clusters_)
    others: tuple[OtherGroups, ...] = ()
    if baselines:
        others = _baselines(prepared.matrix, k, seed, 0 if scores is None else len(scores), kept)
    stability = None
    if scores is not None and resamples:
        of_resamples: dict[str, Any] = {
            "scale": config.scale or scale,
            "resamples": resamples,
            "seed": seed,
            "partition": clustering.partition_,
            "k": asked_for(clustering),
        }

        def judge() -> Stability | None:
            return group_stability(scores, clustering.labels_, **of_resamples, rounding=config.rounding)

        options = {**of_resamples, "rounding": config.rounding.model_dump(mode="json")}
        stability = judge() if kept is None else kept.stability(scores, clustering.labels_, options, judge)
    return Groups(tasks, prepared, clustering, others, stability, source=source)


def _as_clustered(prepared: Prepared, clustering: CertifiedGrouping) -> Prepared:
    """Add what counts and standard errors made of the entries, if they differ."""
    shrunk = clustering.shrinkage_
    if shrunk is None:
        return prepared
    if shrunk.least == 1.0:
        return replace(prepared, matrix=shrunk.matrix)
    step = (
        "for densities, entries drawn towards the effects of their tasks by their counts or standard errors: "
        f"beside the best measured, the median one keeps {100 * shrunk.median:.2g} % of its distance, the "
        f"least {100 * shrunk.least:.2g} %"
    )
    return Prepared(shrunk.matrix, (*prepared.steps, step))


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


def choose_groups(
    tasks: tuple[str, ...],
    runs: NDArray[np.float64] | None,
    config: GroupingConfig,
    chosen: Objective,
    by_density: Callable[[GroupingConfig, int | None], Groups],
    *,
    predictors: Sequence[PredictorMaker] = (),
    seed: int = 0,
    kept: Kept | None = None,
) -> Groups:
    """Group by predicted gain with the groups by density beside, or by density alone.

    Parameters
    ----------
    tasks : tuple of str
        Names.
    runs : ndarray of shape (m, n) or None
        Scores of runs, those of single tasks among them; higher is better, NaN where a task was not in it.
    config : GroupingConfig
        Number of groups, weights and unit.
    chosen : Objective
        What decides.
    by_density : callable
        Groups by density, given its options, and the number of groups of the baselines if it is another.
    predictors : sequence of callable
        What makes further predictors of gains, beside those that runs alone are enough for.
    seed : int
        Of resampling and random starts.
    kept : Kept, optional
        Has what was worked out of the same runs before.
    """
    if not chosen.by_gain:
        return replace(by_density(config, None), note=chosen.note)
    assert runs is not None  # or it could not have been chosen
    scores, weights = runs, weights_of(config.weights, tasks)
    unit: GainUnit = config.unit or "own_score"
    k = None if config.n_clusters == "auto" else config.n_clusters

    def by_gain() -> GainGroups:
        return gain_groups(
            ~np.isnan(scores),
            scores,
            n_clusters=k,
            weights=weights,
            unit=unit,
            predictors=predictors,
            seed=seed,
        )

    if kept is None or predictors:  # what else those know is not among the scores
        gain = by_gain()
    else:
        worth = None if weights is None else np.asarray(weights).tolist()
        options = {"n_clusters": k, "weights": worth, "unit": unit, "seed": seed}
        gain = kept.gain_groups(scores, options, by_gain)
    # The density is only set beside, and a pair that never met must not keep the answer back.
    beside = by_density(config.model_copy(update={"missing": "complete"}), max(gain.labels) + 1)
    return replace(beside, gain=gain)


def other_groups(matrix: NDArray[np.float64], k: int, seed: int) -> tuple[OtherGroups, ...]:
    """Group by every baseline, which take scikit-learn."""
    return tuple(
        OtherGroups(name, labels, objective(matrix, labels))
        for name, grouper in grouping.GROUPERS.items()
        if name != "sdp"
        for labels in (_labels(grouper(k, random_state=seed), matrix),)
    )


def _baselines(
    matrix: NDArray[np.float64], k: int, seed: int, runs: int, kept: Kept | None
) -> tuple[OtherGroups, ...]:
    if kept is None:
        return other_groups(matrix, k, seed)
    return kept.others(matrix, {"k": k, "seed": seed}, runs, lambda: other_groups(matrix, k, seed))


def _labels(grouper: Any, matrix: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(label) for label in grouper.fit(matrix).labels_)
