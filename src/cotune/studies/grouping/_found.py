"""Groups that the affinity stage found itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief


@dataclass(frozen=True)
class FoundGroups(Brief):
    """Groups that an estimator finds while it decides which runs to do.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        The group of every task, numbered from 0.
    confidence : ndarray of shape (n,), or None
        Share of the resamples of the runs in which the task kept its group; None where none were made.
    resamples : int
        How many.
    matrix : ndarray of shape (n, n)
        The affinities that were clustered on the way, without missing entries.
    steps : tuple of str
        How the matrix came about, one sentence each.
    method : str
        How the groups were found, in words.
    """

    labels: NDArray[np.intp]
    confidence: NDArray[np.float64] | None
    resamples: int
    matrix: NDArray[np.float64]
    steps: tuple[str, ...]
    method: str
