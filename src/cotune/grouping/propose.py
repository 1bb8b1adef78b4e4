"""Propose a partition before, or without, solving the relaxation."""

from __future__ import annotations

import numpy as np

from cotune.grouping._partition import Labels, Matrix
from cotune.grouping.eigen import top_eigenpairs
from cotune.grouping.local_search import best_of
from cotune.grouping.rounding import kmeans_rows, pivoted_qr

Embedding = tuple[Matrix, Matrix]
"""Leading eigenvalues, ascending, and eigenvectors of the centred affinities."""


def spectral_embedding(C: Matrix, count: int, rng: np.random.Generator) -> Embedding:
    """Return the ``count`` leading eigenpairs of C on the complement of e, at least one."""
    return top_eigenpairs(C, min(max(count, 1), len(C) - 1), rng)


def spectral_starts(
    embedding: Embedding, n_clusters: int, rng: np.random.Generator, *, pivoted: bool, restarts: int
) -> list[Labels]:
    """Return partitions read off the k - 1 leading eigenvectors, by k-means and, if asked, pivoted QR."""
    values, vectors = embedding
    used = min(n_clusters - 1, vectors.shape[1])
    starts = []
    if pivoted and used == n_clusters - 1:
        starts.append(pivoted_qr(vectors, n_clusters))
    rows = vectors[:, -used:] * np.sqrt(np.maximum(values[-used:], 0.0))
    starts += [kmeans_rows(rows, n_clusters, rng=rng, n_init=1) for _ in range(restarts)]
    return starts


def split_starts(C: Matrix, coarser: Labels, n_clusters: int, keep: int) -> list[Labels]:
    """Split a group of a partition into k - 1 groups in two along its leading eigenvector.

    Returns the ``keep`` splits after which the density sum is largest.
    """
    starts: list[tuple[float, Labels]] = []
    for group in range(n_clusters - 1):
        members = np.flatnonzero(coarser == group)
        if len(members) < 2:
            continue
        block = C[np.ix_(members, members)]
        row = block.mean(axis=0)
        block = block - row[None, :] - (row - row.mean())[:, None]
        direction = np.linalg.eigh(block)[1][:, -1] if len(members) < 400 else _power_direction(block)
        upper = direction > 0
        if not 0 < int(upper.sum()) < len(members):
            upper = np.arange(len(members)) == int(np.abs(direction).argmax())
        labels = coarser.copy()
        labels[members[upper]] = n_clusters - 1
        parts = (members[upper], members[~upper], members)
        first, second, whole = (float(C[np.ix_(part, part)].sum()) / len(part) for part in parts)
        starts.append((first + second - whole, labels))
    starts.sort(key=lambda start: -start[0])
    return [labels for _, labels in starts[:keep]]


def _power_direction(block: Matrix, steps: int = 30) -> Matrix:
    direction = block[:, int(np.einsum("ij,ij->j", block, block).argmax())].copy()
    bound = float(np.linalg.norm(block)) / 2.0  # a positive shift, so that the largest eigenvalue leads
    for _ in range(steps):
        direction = block @ direction + bound * direction
        direction /= max(float(np.linalg.norm(direction)), 1e-300)
    return direction


def propose(
    C: Matrix,
    n_clusters: int,
    rng: np.random.Generator,
    *,
    embedding: Embedding | None = None,
    restarts: int = 3,
    extra: list[Labels] | None = None,
) -> tuple[float, Labels]:
    """Return the best partition found from spectral and given starts, as (<C, X>, labels).

    Parameters
    ----------
    C : ndarray of shape (n, n)
        Centred, scaled affinities.
    n_clusters : int
        k, from 1 to n.
    rng : numpy.random.Generator
        For k-means.
    embedding : tuple, optional
        Of :func:`spectral_embedding`, when already known.
    restarts : int
        Number of k-means starts on the embedding.
    extra : list of ndarray, optional
        More partitions to start from, each of exactly k groups.
    """
    n = len(C)
    if n_clusters == 1:
        return float(C.sum()) / n, np.zeros(n, dtype=np.intp)
    if n_clusters == n:
        return float(np.trace(C)), np.arange(n, dtype=np.intp)
    if embedding is None:
        embedding = spectral_embedding(C, n_clusters - 1, rng)
    starts = [*(extra or []), *spectral_starts(embedding, n_clusters, rng, pivoted=True, restarts=restarts)]
    return best_of(C, starts, n_clusters)
