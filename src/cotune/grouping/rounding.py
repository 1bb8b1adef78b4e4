"""From a solution X of Eq. 5, or any embedding of the tasks, to groups.

Every strategy but the two thresholds returns a partition of all tasks into exactly k non-empty groups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import qr
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from cotune.exceptions import InputError
from cotune.grouping._partition import Labels, Matrix, first_appearance


def threshold(X: Matrix, n_clusters: int, *, c: float = 1.0) -> Labels:
    """Round as Procedure 1 does: tasks u and v share a group when X_uv > c / n.

    The relation is closed transitively (connected components). It may give more or fewer than
    ``n_clusters`` groups; at c = 1 it tends to merge groups, because 1/n is also the entry of X that
    carries no information. Compare ``labels.max() + 1`` with the k asked for.

    Parameters
    ----------
    X : ndarray of shape (n, n)
        A solution of Eq. 5.
    n_clusters : int
        Not used; all strategies share a signature.
    c : float
        The constant of the threshold, at least 1 in the paper.

    Returns
    -------
    ndarray of shape (n,)
        Components numbered by first appearance.
    """
    linked = csr_array(c / len(X) < X)
    return first_appearance(connected_components(linked, directed=False)[1])


def row_threshold(X: Matrix, n_clusters: int, *, c: float = 1.0) -> Labels:
    """Round as the authors' own code reads Procedure 1: row by row, without closing the relation.

    The first task that has no group yet opens one, with all tasks v without a group for which X_uv > c / n.
    One stray entry moves one task and not a whole group, but the order of the tasks matters. Like
    :func:`threshold` it may give more or fewer than ``n_clusters`` groups; unlike that code it drops no task.

    Parameters
    ----------
    X : ndarray of shape (n, n)
        A solution of Eq. 5.
    n_clusters : int
        Not used; all strategies share a signature.
    c : float
        The constant of the threshold, at least 1 in the paper.
    """
    labels = np.full(len(X), -1, dtype=np.intp)
    groups = 0
    for task, row in enumerate(X):
        if labels[task] >= 0:
            continue
        labels[(labels < 0) & (row > c / len(X))] = groups
        labels[task] = groups
        groups += 1
    return labels


def kmeans_rows(X: Matrix, n_clusters: int, *, rng: np.random.Generator, n_init: int = 4) -> Labels:
    """Group the rows of X, or of any embedding (n, d), by k-means with k-means++ starts.

    At the optimum of a tight relaxation the rows of X are identical within a group.
    """
    best_cost, best = np.inf, np.zeros(len(X), dtype=np.intp)
    norms = np.einsum("ij,ij->i", X, X)
    for _ in range(n_init):
        centres = X[_spread_rows(X, norms, n_clusters, rng)]
        labels, cost = _lloyd(X, norms, centres)
        if cost < best_cost:
            best_cost, best = cost, labels
    return fill_empty(best, n_clusters, rng)


def _spread_rows(X: Matrix, norms: Matrix, n_clusters: int, rng: np.random.Generator) -> list[int]:
    """k-means++: each next row is drawn with probability proportional to its squared distance."""
    chosen = [int(rng.integers(len(X)))]
    distance = np.full(len(X), np.inf)
    while len(chosen) < n_clusters:
        last = chosen[-1]
        distance = np.minimum(distance, np.maximum(norms - 2.0 * (X @ X[last]) + norms[last], 0.0))
        total = float(distance.sum())
        if total > 1e-15:
            chosen.append(int(np.searchsorted(np.cumsum(distance), rng.random() * total).clip(0, len(X) - 1)))
        else:
            chosen.append(int(rng.integers(len(X))))
    return chosen


def _lloyd(X: Matrix, norms: Matrix, centres: Matrix, max_iter: int = 30) -> tuple[Labels, float]:
    labels = np.full(len(X), -1, dtype=np.intp)
    distance = np.zeros((len(X), len(centres)))
    for _ in range(max_iter):
        distance = norms[:, None] - 2.0 * (X @ centres.T) + np.einsum("ij,ij->i", centres, centres)
        new = distance.argmin(axis=1)
        if np.array_equal(new, labels):
            break
        labels = new
        V = np.zeros(distance.shape)
        V[np.arange(len(X)), labels] = 1.0
        size = V.sum(axis=0)
        filled = size > 0
        centres = centres.copy()
        centres[filled] = (V.T @ X)[filled] / size[filled, None]
        centres[~filled] = X[distance.min(axis=1).argmax()]
    return labels, float(distance.min(axis=1).sum())


def agglomerative(X: Matrix, n_clusters: int) -> Labels:
    """Cut the average-linkage tree of the dissimilarity max(X) - X at k groups."""
    from scipy.cluster.hierarchy import cut_tree, linkage  # slow to import
    from scipy.spatial.distance import squareform

    distance = X.max() - (X + X.T) / 2.0
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(np.maximum(distance, 0.0), checks=False), method="average")
    return first_appearance(cut_tree(tree, n_clusters=n_clusters)[:, 0])


def pivoted_qr(vectors: Matrix, n_clusters: int) -> Labels:
    """Group by column-pivoted QR of k - 1 orthonormal eigenvectors, no starts and no randomness.

    Source: Damle, Minden and Ying, "Simple, direct and efficient multi-way spectral clustering" (2019).

    Parameters
    ----------
    vectors : ndarray of shape (n, at least k - 1)
        Eigenvectors orthogonal to the all-ones vector, the largest last.
    n_clusters : int
        Number of groups, k >= 2.

    Returns
    -------
    ndarray of shape (n,)
        Exactly k non-empty groups.
    """
    n = len(vectors)
    basis = np.concatenate([np.full((n, 1), n**-0.5), vectors[:, 1 - n_clusters :]], axis=1)
    pivots = qr(basis.T, mode="r", pivoting=True, check_finite=False)[1][:n_clusters]
    left, _, right = np.linalg.svd(basis[pivots].T)
    labels = np.abs(basis @ (left @ right)).argmax(axis=1)
    labels[pivots] = np.arange(n_clusters)  # each pivot row is its group's own representative
    return np.asarray(labels, dtype=np.intp)


def fill_empty(labels: Labels, n_clusters: int, rng: np.random.Generator) -> Labels:
    """Give every empty group a random task from a group that can spare one."""
    labels = np.asarray(labels, dtype=np.intp).copy()
    size = np.bincount(labels, minlength=n_clusters)
    for group in np.flatnonzero(size == 0):
        task = int(rng.choice(np.flatnonzero(size[labels] > 1)))
        size[labels[task]] -= 1
        size[group] += 1
        labels[task] = group
    return labels


def random_partition(n: int, n_clusters: int, rng: np.random.Generator) -> Labels:
    """Assign each of n tasks to a uniformly random group, none empty."""
    return fill_empty(rng.integers(0, n_clusters, n).astype(np.intp), n_clusters, rng)


def _seeded_kmeans(X: Matrix, n_clusters: int) -> Labels:
    return kmeans_rows(X, n_clusters, rng=np.random.default_rng(0))


THRESHOLDS: dict[str, Callable[..., Labels]] = {"threshold": threshold, "row_threshold": row_threshold}
"""The strategies that cut X at c / n, and may return another number of groups."""

ROUNDINGS: dict[str, Callable[[Matrix, int], Labels]] = {
    **THRESHOLDS,
    "kmeans": _seeded_kmeans,
    "agglomerative": agglomerative,
}
"""Strategies by name, each from (X, k) to labels."""


def round_solution(X: Matrix, n_clusters: int, strategy: str, *, c: float = 1.0) -> Labels:
    """Round X by a named strategy, one of the thresholds at c / n.

    Raises
    ------
    InputError
        If ``strategy`` is not a key of :data:`ROUNDINGS`.
    """
    if strategy not in ROUNDINGS:
        raise InputError(f"rounding must be one of {sorted([*ROUNDINGS, 'best'])}, got {strategy!r} instead.")
    if n_clusters == 1:  # X is 1/n everywhere, which a threshold would read as no two tasks together
        return np.zeros(len(X), dtype=np.intp)
    if strategy in THRESHOLDS:
        return THRESHOLDS[strategy](X, n_clusters, c=c)
    return ROUNDINGS[strategy](X, n_clusters)
