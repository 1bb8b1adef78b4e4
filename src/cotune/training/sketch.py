"""Long gradients made short, inner products kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sketch(vector: NDArray[np.floating], dimension: int, seed: int = 0) -> NDArray[np.float32]:
    """Project a long vector to ``dimension`` numbers that keep inner products in expectation.

    A count sketch (Charikar et al. 2002): every coordinate is added, with a random sign, to one random
    bucket. The inner product of two sketches is unbiased with variance of order
    ``|u|^2 |v|^2 / dimension``. Vectors no longer than ``dimension`` come back unchanged.

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
    if vector.size <= dimension:
        return np.asarray(vector, dtype=np.float32)
    rng = np.random.default_rng(seed)
    bucket = rng.integers(0, dimension, vector.size, dtype=np.int64)
    sign = rng.integers(0, 2, vector.size, dtype=np.int8).astype(np.float64) * 2 - 1
    return np.bincount(bucket, weights=sign * vector, minlength=dimension).astype(np.float32)
