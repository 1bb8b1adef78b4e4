"""Partitions of the tasks as label vectors, and the density objective (Eqs. 1 to 3)."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.exceptions import InputError
from cotune.grouping._validation import STRIP, check_labels, check_square

Matrix: TypeAlias = NDArray[Any]
Labels: TypeAlias = NDArray[np.intp]


def first_appearance(labels: ArrayLike) -> Labels:
    """Renumber groups 0, 1, ... in the order in which their first task appears.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Any hashable, sortable group names.

    Returns
    -------
    ndarray of shape (n,)
        Integers; task 0 is always in group 0.
    """
    _, first, inverse = np.unique(np.asarray(labels), return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def indicator(labels: Labels, n_clusters: int) -> Matrix:
    """Return V of Eq. 3, shape (n, n_clusters): V_ij = 1 when task i is in group j."""
    V = np.zeros((len(labels), n_clusters))
    V[np.arange(len(labels)), labels] = 1.0
    return V


def partition_matrix(labels: Labels) -> Matrix:
    """Return X of Eq. 4, shape (n, n): 1/|C| where both tasks are in C, else 0."""
    same = labels[:, None] == labels[None, :]
    size = np.bincount(labels)[labels].astype(float)
    return np.asarray(same / size[:, None])


def symmetrised(T: Matrix) -> Matrix:
    """Return (T + T') / 2, the only part of T that Eqs. 1 to 5 see."""
    S = np.array(T, dtype=np.result_type(T, 0.5), order="C")
    for start in range(0, len(T), STRIP):
        strip = slice(start, start + STRIP)
        S[strip] += T[:, strip].T
        S[strip] /= 2.0
    return S


def density_sum(T: Matrix, labels: Labels, n_clusters: int) -> float:
    """Sum of the group densities without checking the input; for inner loops."""
    V = indicator(labels, n_clusters)
    return float(np.sum(np.einsum("ij,ij->j", V, T @ V) / V.sum(axis=0)))


def density(T: ArrayLike, labels: ArrayLike) -> Matrix:
    """Density of every group, d_S = sum of T_uv over u, v in S, divided by |S| (Eq. 1).

    Parameters
    ----------
    T : array-like of shape (n, n)
        Task affinities; the diagonal counts.
    labels : array-like of shape (n,)
        The group of every task.

    Returns
    -------
    ndarray of shape (n_groups,)
        In the order in which the groups first appear in ``labels``.

    Raises
    ------
    InputError
        If T is not a finite square matrix or ``labels`` does not have one entry per task.
    """
    matrix = check_square(T)
    groups = first_appearance(check_labels(labels, len(matrix)))
    V = indicator(groups, int(groups.max()) + 1)
    return np.asarray(np.einsum("ij,ij->j", V, matrix @ V) / V.sum(axis=0))


def objective(T: ArrayLike, labels: ArrayLike) -> float:
    """Sum of the group densities, <T, X> for the X of Eq. 4: what Eq. 3 maximises.

    Divide by the number of groups for the average density of Eq. 2.

    Parameters
    ----------
    T : array-like of shape (n, n)
        Task affinities.
    labels : array-like of shape (n,)
        The group of every task.

    Returns
    -------
    float
        In the units of T.

    Raises
    ------
    InputError
        As :func:`density`.
    """
    return float(density(T, labels).sum())


def refuse_bad_k(n_clusters: object, n: int, name: str) -> int:
    """Return n_clusters as an int when a partition of n tasks into so many groups exists."""
    whole = isinstance(n_clusters, (int, np.integer)) and not isinstance(n_clusters, bool)
    k = int(cast(int, n_clusters)) if whole else 0
    if not 1 <= k <= n:
        raise InputError(
            f"The 'n_clusters' parameter of {name} must be an integer from 1 to the number of tasks, {n}, "
            f"got {n_clusters!r} instead."
        )
    return k
