"""A random-effects block model of the affinities, and the evidence for a partition under it.

    y_ij = b + r_i + r_j + (m_a inside group a, d_ab between groups a and b) + noise,  variance s2 / w_ij

with r_i ~ N(0, rho), m_a ~ N(m0, tau), d_ab ~ N(0, kappa) and the prior over partitions of
:mod:`cotune.grouping.shapes`. A variance that the data do not ask for goes to zero and then costs nothing: so
one model spans offsets of tasks without groups, many small groups against one background, and hierarchies in
which every pair of groups has a mean of its own. What a partition costs is minus twice the logarithm of its
evidence by Laplace's approximation, the variances at their maximum: a description length, labels included.
:mod:`cotune.grouping.block_fit` fits it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cotune.grouping._partition import Labels, Matrix, indicator
from cotune.grouping.effects import Effects

MULTIPLY_UP_TO = 128
"""Sums over more groups than this add sorted columns instead of multiplying by an indicator."""


@dataclass(slots=True)
class Fit:
    """The model fitted to one partition.

    Parameters
    ----------
    cost : float
        Minus twice the log evidence, up to a constant that no partition changes; lower is better.
    b, m0 : float
        Background and mean of the groups' means above it.
    s2, rho, tau, kappa : float
        Variances of the noise and, in units of the first, of the effects of tasks, groups and pairs of
        groups; ``kappa`` is 0 where pairs of groups have no mean of their own.
    r : ndarray of shape (n,)
        Effects of tasks.
    m : ndarray of shape (k,)
        Means inside groups above b + r_i + r_j.
    d : ndarray of shape (k, k) or None
        Those between groups, 0 on the diagonal, where they have some.
    """

    cost: float
    b: float
    m0: float
    s2: float
    rho: float
    tau: float
    kappa: float
    r: Matrix = field(repr=False)
    m: Matrix = field(repr=False)
    d: Matrix | None = field(repr=False)


class Observations:
    """Symmetric affinities, their weights, and sums over groups of them.

    Parameters
    ----------
    S : ndarray of shape (n, n)
        Symmetric affinities; the diagonal is left out.
    weights : ndarray of shape (n, n), optional
        Symmetric, non-negative, 0 for entries that were not observed: the precision of each entry.
    """

    def __init__(self, S: Matrix, weights: Matrix | None = None) -> None:
        n = len(S)
        self.n = n
        off = S.copy()
        np.fill_diagonal(off, 0.0)
        self.W: Matrix | None = None
        if weights is not None:
            W = np.where(np.isfinite(weights), weights, 0.0)
            np.fill_diagonal(W, 0.0)
            self.W = W * (np.count_nonzero(W) / max(float(W.sum()), 1e-300))
        total = float(n * (n - 1)) if self.W is None else float(self.W.sum())
        self.entries = (n * (n - 1) if self.W is None else int(np.count_nonzero(self.W))) / 2.0
        mean = float((off if self.W is None else off * self.W).sum()) / max(total, 1e-300)
        off -= mean
        np.fill_diagonal(off, 0.0)
        square = float(np.vdot(off, off if self.W is None else off * self.W)) / max(total, 1e-300)
        self.scale = float(np.sqrt(square)) if square > 0 else 1.0
        off /= self.scale
        self.flat = square <= 1e-26 * max(mean * mean, 1e-300)
        self.Y = off
        self.WY = off if self.W is None else off * self.W
        self.row = self.WY.sum(axis=1)
        self.weight = np.full(n, n - 1.0) if self.W is None else self.W.sum(axis=1)
        self.square = float(np.vdot(self.Y, self.WY)) / 2.0
        self.total = float(self.weight.sum()) / 2.0
        self.sum = float(self.row.sum())
        self.seen = self.weight > 0
        self.effects = Effects(self.weight[self.seen])
        # What costs of the same affinities under other weights differ by, beyond the fit itself.
        self.constant = self.entries * float(np.log(max(square, 1e-300)))
        if self.W is not None:
            self.constant -= float(np.log(self.W[self.W > 0]).sum()) / 2.0

    def sums(self, labels: Labels, k: int) -> tuple[Matrix, Matrix]:
        """Return sums of affinities and of weights of every task over every group, shape (n, k) each."""
        V = indicator(labels, k)
        A = self._over_groups(self.WY, labels, V)
        if self.W is not None:
            return A, self._over_groups(self.W, labels, V)
        return A, V.sum(axis=0)[None, :] - V

    def own_sums(self, labels: Labels, k: int) -> tuple[Matrix, Matrix]:
        """Return sums of affinities and of weights of every task over its own group, shape (n,) each."""
        size = np.bincount(labels, minlength=k)
        A, B = np.zeros(self.n), size[labels] - 1.0
        order = np.argsort(labels, kind="stable")
        ends = np.cumsum(size)
        for group in np.flatnonzero(size > 1):
            members = order[ends[group] - size[group] : ends[group]]
            if len(members) == self.n:
                return self.row.copy(), self.weight.copy()
            rows = members[:, None]
            A[members] = self.WY[rows, members].sum(axis=1)
            if self.W is not None:
                B[members] = self.W[rows, members].sum(axis=1)
        return A, B

    def _over_groups(self, values: Matrix, labels: Labels, V: Matrix) -> Matrix:
        if V.shape[1] <= MULTIPLY_UP_TO:
            return np.asarray(values @ V)
        order = np.argsort(labels, kind="stable")
        starts = np.concatenate([[0], np.cumsum(V.sum(axis=0))[:-1]]).astype(np.intp)
        return np.asarray(np.add.reduceat(values[:, order], starts, axis=1))

    def weighted(self, r: Matrix) -> Matrix:
        """Apply the weights to one value a task, shape (n,)."""
        return float(r.sum()) - r if self.W is None else np.asarray(self.W @ r)

    def squares(self, fit: Fit, labels: Labels) -> Matrix:
        """Squares of the residuals times their weights, shape (n, n), 0 on the diagonal."""
        M = np.diag(fit.m) + (0.0 if fit.d is None else fit.d)
        E = self.Y - fit.b - fit.r[:, None] - fit.r[None, :] - M[labels][:, labels]
        E *= E
        if self.W is not None:
            E *= self.W
        np.fill_diagonal(E, 0.0)
        return np.asarray(E)

    def residual_column(self, fit: Fit, task: int) -> tuple[Matrix, Matrix]:
        """Return what b + r_i + r_j leaves of the affinities to one task, and their weights, shape (n,)."""
        if self.W is not None:
            weight = self.W[:, task]
        else:
            weight = np.ones(self.n)
            weight[task] = 0.0
        return self.WY[:, task] - (fit.b + fit.r + fit.r[task]) * weight, weight

    def residual_sums(self, fit: Fit, labels: Labels, k: int) -> tuple[Matrix, Matrix]:
        """As :meth:`sums`, of what b + r_i + r_j leaves."""
        A, B = self.sums(labels, k)
        V = indicator(labels, k) * fit.r[:, None]
        shared = self.W @ V if self.W is not None else V.sum(axis=0)[None, :] - V
        return A - (fit.b + fit.r)[:, None] * B - shared, B
