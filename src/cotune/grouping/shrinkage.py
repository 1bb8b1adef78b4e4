"""Affinities drawn towards the effects of their tasks by as much as their noise makes them uncertain.

A density counts every entry alike, so one measured once can decide a group against many measured often. The
best guess of an entry from what was measured of it and of its tasks is

    b + r_i + r_j + f_ij (y_ij - b - r_i - r_j),  f_ij = q / (q + 1 / w_ij),

for entries of variance q around the effects of tasks and noise of variance 1 / w_ij. A common factor changes
no partition, so shares are relative to that of the best measured entry: equal weights change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import cg

from cotune._repr import Brief
from cotune.grouping._partition import Matrix, symmetrised
from cotune.grouping._validation import check_weights

VARIANCES = np.geomspace(1e-2, 1e2, 33)
"""Variances around the effects of tasks that are tried, in units of the noise of the median entry."""

SWEEPS = 3
"""Alternations of that variance and the effects."""

EXACT = 1e-12
"""Relative accuracy of the effects, far below what would let the order of tasks be seen."""


@dataclass(frozen=True, slots=True)
class Shrunk(Brief):
    """Affinities as far as they can be trusted.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        Symmetric; the diagonal as far above the effects of tasks as it was.
    least, median : float
        Share that the worst and the median measured entry keep of their distance from the effects of tasks,
        beside the best measured.
    """

    matrix: Matrix
    least: float
    median: float


def shrink(T: Matrix, weights: ArrayLike) -> Shrunk:
    """Draw (T + T')/2 towards effects of tasks by what each entry is worth.

    Parameters
    ----------
    T : ndarray of shape (n, n)
        Affinities, finite.
    weights : array-like of shape (n, n)
        What entries of T are worth beside one another, such as counts; 0 where nothing was measured.
    """
    S, n = symmetrised(T), len(T)
    weights = check_weights(weights, n)
    seen = (weights > 0) & ~np.eye(n, dtype=bool)
    measured = weights[seen]
    if n < 3 or not measured.size or (seen.sum() == n * (n - 1) and measured.min() == measured.max()):
        return Shrunk(S, 1.0, 1.0)
    W = np.where(seen, weights, 0.0) / np.median(measured)
    above = np.triu(seen, 1)
    q, r = 1.0, np.zeros(n)
    for _ in range(SWEEPS):
        r = _effects(S, W / (1.0 + q * W))
        q = _variance((S - r[:, None] - r)[above], W[above])
    share = W / (1.0 + q * W)
    share /= share.max()
    matrix = r[:, None] + r + share * (S - r[:, None] - r)
    plain = _effects(S, (~np.eye(n, dtype=bool)).astype(float))
    np.fill_diagonal(matrix, np.diag(S) + 2.0 * (r - plain))
    return Shrunk(matrix, float(share[seen].min()), float(np.median(share[seen])))


def _effects(S: Matrix, P: Matrix) -> Matrix:
    """Least squares of r_i + r_j, half of b in each, under weights; shape (n,)."""
    total = P.sum(axis=1)
    middle = float(np.vdot(P, S)) / float(total.sum())
    return np.asarray(cg(P + np.diag(total), (P * (S - middle)).sum(axis=1), rtol=EXACT)[0]) + middle / 2.0


def _variance(left: Matrix, weight: Matrix) -> float:
    """Most likely variance around the effects, in units of the noise of an entry of weight one."""
    # Weights within a hundredth of one another are taken together, which many entries need.
    logs, where = np.unique(np.round(np.log(weight), 2), return_inverse=True)
    squares, count = np.bincount(where, left * left), np.bincount(where)
    noise = np.add.outer(VARIANCES, np.exp(-logs))
    common = (squares / noise).sum(axis=1) / len(left)
    cost = (count * np.log(noise)).sum(axis=1) + len(left) * np.log(np.maximum(common, 1e-300))
    return float(VARIANCES[int(cost.argmin())])
