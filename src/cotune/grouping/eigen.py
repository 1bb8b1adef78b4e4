"""Leading eigenpairs of symmetric matrices on the complement of the all-ones vector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh, lapack

from cotune.grouping._partition import Matrix
from cotune.grouping._problem import centre

Weights = Callable[[Matrix, float], Matrix]
"""From eigenvalues and a sum to non-negative weights with that sum; see :func:`simplex_weights`."""

DENSE_BELOW = 80
"""Below this many tasks a full eigendecomposition is cheaper than a filtered block."""

_ATTEMPTS = 8
"""Most filterings, or widenings, of a block in one call."""

CENTRE_BELOW = 400
"""Below this many tasks one pass that centres a matrix costs less than projecting every product with it."""


def simplex_weights(values: Matrix, total: float) -> Matrix:
    """Project eigenvalues onto {x >= 0, sum x = total}.

    Parameters
    ----------
    values : ndarray of shape (m,)
        Ascending.
    total : float
        Positive.

    Returns
    -------
    ndarray of shape (m,)
        max(values - theta, 0).
    """
    descending = values[::-1]
    excess = np.cumsum(descending) - total
    last = int(np.flatnonzero(descending * np.arange(1, len(values) + 1) > excess)[-1])
    return np.asarray(np.maximum(values - excess[last] / (last + 1.0), 0.0))


def capped_weights(values: Matrix, total: float) -> Matrix:
    """Project eigenvalues onto {0 <= x <= 1, sum x = total}, total at most their number.

    X <= I holds for every feasible X of Eq. 5; imposing it costs nothing and helps when k is large.
    """
    if total >= len(values):
        return np.ones_like(values)
    breaks = np.sort(np.concatenate([values, values - 1.0]))
    low, high = 0, len(breaks) - 1
    while high - low > 1:  # the sum falls as theta rises through the breakpoints
        middle = (low + high) // 2
        if np.clip(values - breaks[middle], 0.0, 1.0).sum() >= total:
            low = middle
        else:
            high = middle
    at_low = float(np.clip(values - breaks[low], 0.0, 1.0).sum())
    at_high = float(np.clip(values - breaks[high], 0.0, 1.0).sum())
    slope = 0.0 if at_low == at_high else (at_low - total) / (at_low - at_high)
    return np.asarray(np.clip(values - (breaks[low] + slope * (breaks[high] - breaks[low])), 0.0, 1.0))


def top_eigenpairs(B: Matrix, count: int, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Return the ``count`` largest eigenpairs of a centred B, ascending; approximate for many tasks.

    Only for proposing partitions: nothing is certified with these.

    Parameters
    ----------
    B : ndarray of shape (n, n)
        Symmetric with Be = 0.
    count : int
        At least 1, at most n - 1.
    rng : numpy.random.Generator
        For the starting block.

    Returns
    -------
    values, vectors : ndarrays of shapes (count,) and (n, count)
        Vectors are orthogonal to e.
    """
    n = len(B)
    if n < 4 * DENSE_BELOW or count > n // 8:
        shifted = B - float(np.abs(B).sum(axis=1).max()) / n  # moves e to the bottom of the spectrum
        values, vectors = eigh(shifted, subset_by_index=[n - count, n - 1], driver="evr", check_finite=False)
        return values, vectors
    block, values, _ = krylov_block(B, count + 8, rng)
    return values[-count:], block[:, -count:]


def krylov_block(
    B: Matrix, width: int, rng: np.random.Generator, depth: int = 6
) -> tuple[Matrix, Matrix, float]:
    """Return Ritz vectors and values of a block Krylov space, and its smallest Ritz value."""
    n = len(B)
    width = min(width, n // (depth + 1))
    space = np.empty((n, width * (depth + 1)), dtype=B.dtype)
    block = rng.standard_normal((n, width)).astype(B.dtype)
    for power in range(depth + 1):
        block = orthonormal(block)
        space[:, power * width : (power + 1) * width] = block
        if power < depth:
            block = B @ block
    basis = orthonormal(space)
    values, rotation = np.linalg.eigh(basis.T @ (B @ basis))
    return basis @ rotation[:, -width:], values[-width:], float(values[0])


def orthonormal(block: Matrix) -> Matrix:
    """Return an orthonormal basis, orthogonal to e, of about the span of a block of shape (n, m)."""
    Q = _q_factor(without_e(block))
    if float(np.abs(np.add.reduce(Q, axis=0)).max()) > 1e-12:  # nearly dependent columns let e back in
        Q = _q_factor(without_e(Q))
    return Q


def _q_factor(block: Matrix) -> Matrix:
    """numpy.linalg.qr(block)[0] without its overhead, which counts for the many narrow blocks here."""
    reflectors, tau, _, _ = lapack.dgeqrf(block)
    return np.ascontiguousarray(lapack.dorgqr(reflectors, tau)[0])


def without_e(block: Matrix) -> Matrix:
    """Project the columns of a block of shape (n, m) onto the complement of the all-ones vector."""
    return np.asarray(block - np.add.reduce(block, axis=0) / len(block))


class FilteredEigenspace:
    """The eigenpairs that carry weight, of a matrix that changes a little from call to call.

    A Chebyshev filter of the previous block replaces the full decomposition while the rank is a small share
    of n; a full decomposition starts it and takes over when the rank grows.

    Parameters
    ----------
    n : int
        Order of the matrices.
    weights : callable
        Decides which eigenvalues matter.
    rng : numpy.random.Generator
        For widening the block.
    degree : int
        Degree of the Chebyshev polynomial.
    guard : int
        Extra vectors below the last one that carries weight.
    """

    MAX_SHARE = 5
    MAX_SHARE_CENTRED = 3
    """The block is given up when it exceeds n over this; the second below ``CENTRE_BELOW`` tasks."""

    def __init__(
        self, n: int, weights: Weights, rng: np.random.Generator, *, degree: int = 5, guard: int = 6
    ) -> None:
        self.n = n
        self.centred = n < CENTRE_BELOW
        self.widest = n // (self.MAX_SHARE_CENTRED if self.centred else self.MAX_SHARE)
        self.weights = weights
        self.rng = rng
        self.degree = degree
        self.guard = guard
        self.block: Matrix | None = None
        self._floor = 0.0
        self._cut = 0.0

    def seed(self, B: Matrix, width: int) -> None:
        """Start from a block Krylov space, which is cheaper than a full decomposition when n is large."""
        if width * 7 * self.MAX_SHARE > 5 * self.n or self.n < 5 * DENSE_BELOW:
            return
        self.block, values, lowest = krylov_block(B, width, self.rng)
        self._cut = float(values[0])
        self._floor = lowest - 0.15 * (float(values[-1]) - lowest)

    def top(self, B: Matrix, total: float, tolerance: float) -> tuple[Matrix, Matrix]:
        """Return weights and vectors, both only where the weight is positive.

        Parameters
        ----------
        B : ndarray of shape (n, n)
            Symmetric; JBJ is decomposed, without B having to be centred.
        total : float
            Sum of the weights.
        tolerance : float
            Largest Frobenius norm of the residual of the returned pairs.

        Returns
        -------
        weights, vectors : ndarrays of shapes (r,) and (n, r)
            Ascending weights; orthonormal vectors orthogonal to e.
        """
        if self.block is None or self.n < DENSE_BELOW or self.block.shape[1] > self.widest:
            return self._full(B, total)
        if self.centred:
            B = centre(B)
        Q = self.block
        for attempt in range(_ATTEMPTS):
            Q = self._filtered(B, Q)
            BQ = self._product(B, Q)
            values, rotation = np.linalg.eigh(Q.T @ BQ)
            Q, BQ = Q @ rotation, BQ @ rotation
            self._cut = float(values[0])
            x = self.weights(values, total)
            first = int(np.argmax(x > 0))
            if first < 2:
                if attempt == _ATTEMPTS - 1 or Q.shape[1] + self.guard + 10 > self.widest:
                    return self._full(B, total)
                Q = self._widened(B, Q)
                continue
            residual = BQ[:, first:] - Q[:, first:] * values[first:]
            if float(np.linalg.norm(residual)) <= tolerance:
                break
        keep = max(0, first - 3 * self.guard)
        self.block, self._cut = Q[:, keep:], float(values[keep])
        return x[first:], Q[:, first:]

    def _filtered(self, B: Matrix, Q: Matrix) -> Matrix:
        """Damp the spectrum between the floor and the cut with a Chebyshev polynomial."""
        middle = (self._floor + self._cut) / 2.0
        half = max((self._cut - self._floor) / 2.0, 1e-12)
        previous, current = Q, (self._product(B, Q) - middle * Q) / half
        for _ in range(1, self.degree):
            following = self._product(B, current)
            following -= middle * current
            following *= 2.0 / half
            following -= previous
            previous, current = current, following
        return orthonormal(current)

    def _product(self, B: Matrix, Q: Matrix) -> Matrix:
        """JBJQ for a Q that is orthogonal to e, where :meth:`top` has centred B already or not."""
        return np.asarray(B @ Q) if self.centred else without_e(B @ Q)

    def _widened(self, B: Matrix, Q: Matrix) -> Matrix:
        more = self.rng.standard_normal((self.n, self.guard + 10)).astype(B.dtype)
        for _ in range(2):
            more = without_e(more)
            more -= Q @ (Q.T @ more)
            more /= np.linalg.norm(more, axis=0)
            more = B @ more
        return orthonormal(np.concatenate([more, Q], axis=1))

    def _full(self, B: Matrix, total: float) -> tuple[Matrix, Matrix]:
        values, Q = np.linalg.eigh(centre(B) - float(np.linalg.norm(B)) / self.n)
        values, Q = values[1:], Q[:, 1:]  # e carries the shift and comes first
        x = self.weights(values, total)
        first = int(np.argmax(x > 0))
        keep = max(0, first - self.guard)
        self.block, self._cut = Q[:, keep:].copy(), float(values[keep])
        self._floor = float(values[0]) - 0.05 * float(values[-1] - values[0])
        return x[first:], Q[:, first:]
