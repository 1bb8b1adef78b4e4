"""First-order affinity: the cosine between the tasks' gradients at the base model, no run trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cotune.affinity._affinity import Affinity
from cotune.exceptions import InputError


def gradient_cosine(features: ArrayLike) -> Affinity:
    """Cosine between mean gradients, across two disjoint halves of each task's examples.

    ``T[i, j]`` is the mean of ``cos(g_i^a, g_j^b)`` and ``cos(g_i^b, g_j^a)``, where a and b are the halves.
    No entry shares an example with itself, so the diagonal is not 1 but a reliability: how well
    the task's gradient agrees with itself on fresh examples. Related to the lookahead affinity of Fifty et
    al. (2021), of which the cosine is the first-order term.

    Parameters
    ----------
    features : array_like of shape (n, 2, p)
        For every task the mean gradient over each half of its examples.

    Returns
    -------
    Affinity
        Symmetric. Off the diagonal an entry averages two cosines, and its standard error is half their
        difference: right on average over entries and, with one degree of freedom, of little use for a single
        one, whose 95 % interval takes 12.7 of them. On the diagonal there is one cosine and the standard
        error is NaN. Noise in the gradients shrinks cosines: the error is that of the expected cosine at
        this many examples.

    Raises
    ------
    InputError
        If the shape is not (n, 2, p), or a task's gradient is zero or not finite.
    """
    g = np.asarray(features)
    if g.ndim != 3 or g.shape[1] != 2:
        raise InputError(f"features must have shape (tasks, 2, dimension), got {g.shape}.")
    norms = np.linalg.norm(g, axis=2)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        task, half = np.argwhere(~(np.isfinite(norms) & (norms > 0)))[0]
        raise InputError(
            f"The mean gradient of task {task} over half {half} has norm {norms[task, half]}; it must be "
            "finite and not zero."
        )
    first = g[:, 0] / norms[:, :1]
    second = g[:, 1] / norms[:, 1:]
    cosine = np.asarray(first @ second.T, dtype=float)
    n = len(g)
    counts = np.full((n, n), 2, dtype=np.int64) - np.eye(n, dtype=np.int64)
    stderr = np.abs(cosine - cosine.T) / 2
    np.fill_diagonal(stderr, np.nan)
    return Affinity((cosine + cosine.T) / 2, counts, stderr)
