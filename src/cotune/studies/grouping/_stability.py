"""How sure the groups of a study are, judged by clustering again over resamples of its runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cotune.affinity import higher_order
from cotune.exceptions import InputError
from cotune.grouping import SDPClustering, Stability, bootstrap, prepare

RUNS_PER_PAIR = 2.0
"""Mean number of runs behind a pair of tasks below which resampling them says nothing."""

UP_TO_TASKS = 200
"""Tasks beyond which clustering a hundred times takes minutes."""


def group_stability(
    scores: NDArray[np.float64], labels: NDArray[np.intp], *, scale: str, resamples: int, seed: int
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
    grouper = SDPClustering(k, tol=1e-3, max_iter=30, exact_max=0, random_state=seed)
    try:
        return bootstrap(estimate, m, grouper, n_resamples=resamples, random_state=seed, reference=labels)
    except InputError:  # a task was left without any run in most resamples
        return None
