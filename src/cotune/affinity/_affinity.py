from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief


@dataclass(frozen=True, eq=False)
class Affinity(Brief):
    """An estimated affinity matrix with its evidence.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        ``matrix[i, j]`` says how well task j transfers to task i; higher is better. NaN where the pair was
        never measured, never 0.
    counts : ndarray of int, shape (n, n)
        How many measurements each entry averages.
    stderr : ndarray of shape (n, n)
        Standard error of each entry, NaN where fewer than two measurements tell it.
    """

    matrix: NDArray[np.float64]
    counts: NDArray[np.int64]
    stderr: NDArray[np.float64]

    @property
    def n_missing(self) -> int:
        """Number of unordered pairs of different tasks never measured in either direction."""
        upper = np.triu(np.isnan(self.matrix) & np.isnan(self.matrix.T), 1)
        return int(upper.sum())
