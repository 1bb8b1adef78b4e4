"""The one input of the estimators that use trained runs: who was in a run, and how they scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from cotune.exceptions import InputError

_FEW_PRODUCTS = 10_000_000
"""Products up to which a dense matrix is multiplied sooner than a sparse one is made."""


def check_runs(membership: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return runs as a boolean and a float matrix, both of shape (m, n), scores NaN outside the subsets.

    Raises
    ------
    InputError
        If the shapes differ, or a score of a task that was in a run is not finite.
    """
    inside = np.asarray(membership, dtype=bool)
    f = np.asarray(scores, dtype=float)
    if inside.ndim != 2 or f.shape != inside.shape:
        raise InputError(
            "membership and scores must be two matrices of one shape (runs, tasks), got shapes "
            f"{inside.shape} and {f.shape}."
        )
    bad = inside & ~np.isfinite(f)
    if bad.any():
        run, task = np.argwhere(bad)[0]
        raise InputError(
            f"The score of task {task} in run {run} is {f[run, task]}; every task of a run's subset must "
            "have a finite score."
        )
    return inside, np.where(inside, f, np.nan)


def check_membership(membership: ArrayLike, n: int) -> NDArray[np.bool_]:
    """Return subsets as a boolean matrix of shape (m, n) or say what is wrong with their shape."""
    inside = np.asarray(membership, dtype=bool)
    if inside.ndim != 2 or inside.shape[1] != n:
        raise InputError(f"membership must have shape (subsets, {n}), a column a task, got {inside.shape}.")
    return inside


def pair_counts(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many runs hold both tasks, shape (n, n); on the diagonal how many hold the task."""
    m, n = inside.shape
    if m * n * n <= _FEW_PRODUCTS:  # counts are whole numbers: both ways are exact
        dense = inside.astype(float)
        return np.asarray(dense.T @ dense, dtype=np.int64)
    member = sparse.csr_matrix(inside, dtype=np.int64)
    return np.asarray((member.T @ member).toarray(), dtype=np.int64)


def task_means(inside: NDArray[np.bool_], f: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean score of each task over its runs, shape (n,); 0 for a task without runs."""
    return np.asarray(np.where(inside, f, 0.0).sum(0) / np.maximum(inside.sum(0), 1))
