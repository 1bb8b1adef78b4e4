"""Long gradients made short, inner products kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Sketch:
    """A projection of long vectors to ``dimension`` numbers that keeps inner products in expectation.

    A count sketch (Charikar et al. 2002): every coordinate is added, with a random sign, to one random
    bucket. The inner product of two sketches is unbiased with variance of order
    ``|u|^2 |v|^2 / dimension``. Vectors no longer than ``dimension`` come back unchanged.

    Parameters
    ----------
    size : int
        Length p of the vectors.
    dimension : int
        Number of buckets.
    seed : int
        With size and dimension, determines the projection: vectors to be compared must share it.
    """

    def __init__(self, size: int, dimension: int, seed: int = 0) -> None:
        self.dimension = min(size, dimension)
        self._shortens = size > dimension
        if self._shortens:
            rng = np.random.default_rng(seed)
            self._bucket = rng.integers(0, dimension, size, dtype=np.int64)
            self._sign = rng.integers(0, 2, size, dtype=np.int8).astype(np.float64) * 2 - 1

    def __call__(self, vector: NDArray[np.floating]) -> NDArray[np.float32]:
        """Project a vector of shape (p,) to one of shape (min(p, dimension),)."""
        if not self._shortens:
            return np.asarray(vector, dtype=np.float32)
        signed = self._sign * vector
        return np.bincount(self._bucket, weights=signed, minlength=self.dimension).astype(np.float32)


def sketch(vector: NDArray[np.floating], dimension: int, seed: int = 0) -> NDArray[np.float32]:
    """Project one vector; see :class:`Sketch`.

    Parameters
    ----------
    vector : ndarray of shape (p,)
    dimension : int
        Number of buckets.
    seed : int
        Vectors to be compared must share it.

    Returns
    -------
    ndarray of float32, shape (min(p, dimension),)
    """
    return Sketch(vector.size, dimension, seed)(vector)
