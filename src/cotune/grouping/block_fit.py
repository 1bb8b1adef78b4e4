"""Fitting the block model of :mod:`cotune.grouping.block_model` to one partition."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cotune.grouping._partition import Labels, Matrix, indicator
from cotune.grouping.block_model import Fit, Observations
from cotune.grouping.effects import Effects
from cotune.grouping.shapes import log_prior

STEPS = 6
"""Rounds of the alternating fit; each is a few operations on n x k sums."""


@lru_cache(maxsize=32)
def _above_diagonal(k: int) -> tuple[Labels, Labels]:
    return np.triu_indices(k, 1)


def block_term(
    S: Matrix, N: Matrix, mean: float, variance: float, s2: float, *, positive: bool = False
) -> Matrix:
    """Log evidence that blocks of sum S and weight N add when their means are drawn from a normal.

    ``variance`` is in units of ``s2``; the terms of N = 0 are 0. ``positive`` takes a mean below 0 for 0.
    """
    shrink = 1.0 + variance * N
    gain = variance * S * S + 2.0 * mean * S - mean * mean * N
    if positive:
        below = variance * S + mean < 0
        gain = np.where(below, -mean * mean * shrink / max(variance, 1e-300), gain)
    return np.asarray(gain / (2.0 * s2 * shrink) - 0.5 * np.log(shrink))


def fit_model(data: Observations, labels: Labels, k: int, *, pairs: bool, start: Fit | None = None) -> Fit:
    """Fit the model to a partition.

    Parameters
    ----------
    data : Observations
        The affinities.
    labels : ndarray of shape (n,)
        A partition into groups 0 to k - 1.
    k : int
        Number of groups.
    pairs : bool
        Whether every pair of groups may have a mean of its own.
    start : Fit, optional
        Where to start from, such as the fit of a neighbouring partition.
    """
    fitting = _Fitting(data, labels, k, pairs, start)
    for _ in range(STEPS):
        fitting.means_of_groups()
        fitting.effects_of_tasks()
        fitting.noise()
    return fitting.result()


class _Fitting:
    """The unknowns of the model at one partition, each set in turn to its best value given the others."""

    def __init__(self, data: Observations, labels: Labels, k: int, pairs: bool, start: Fit | None) -> None:
        self.data, self.labels, self.k = data, labels, k
        self.entries = max(data.entries, 1.0)
        self._sum_groups(pairs and k > 1)
        self.inside = np.bincount(labels, self.own, k)
        self.inner = np.bincount(labels, self.own_weight, k) / 2.0
        self.grouped = self.inner > 0 if k > 1 else np.zeros(k, dtype=bool)
        self.of_groups = Effects(self.inner[self.grouped])
        self.r = np.zeros(data.n) if start is None else start.r.copy()
        self.b = 0.0 if start is None else start.b
        self.rho = 0.1 if start is None else start.rho
        self.tau, self.kappa, self.m0 = 1.0, 1.0, 0.0
        self.S, self.D = self._left_of_blocks()
        self.s2 = self._first_noise() if start is None else start.s2

    def _sum_groups(self, paired: bool) -> None:
        """Sum over the task's own group, and over all of them where pairs of groups have means."""
        self.paired = paired
        self.upper = _above_diagonal(self.k if paired else 1)
        self.M = np.zeros((self.k, self.k) if paired else (1, 1))
        weight = np.zeros((1, 1))
        if paired:
            self.V = indicator(self.labels, self.k)
            A, self.B = self.data.sums(self.labels, self.k)
            self.P, weight = self.V.T @ A, self.V.T @ self.B
            tasks = np.arange(self.data.n)
            self.own, self.own_weight = A[tasks, self.labels], self.B[tasks, self.labels]
        else:
            self.own, self.own_weight = self.data.own_sums(self.labels, self.k)
        self.weight, self.between = weight, weight[self.upper]
        self.present = self.between > 0
        self.of_pairs = Effects(self.between[self.present])

    def _left_of_blocks(self) -> tuple[Matrix, Matrix]:
        """Return sums inside groups and between them of what b and r leave."""
        S = self.inside - 2.0 * np.bincount(self.labels, self.r * self.own_weight, self.k)
        S = S / 2.0 - self.b * self.inner
        if not self.paired:
            return S, self.between
        Q = self.V.T @ (self.r[:, None] * self.B)
        return S, (self.P - self.b * self.weight - Q - Q.T)[self.upper]

    def _first_noise(self) -> float:
        """Return the variance that a free mean for every block leaves."""
        explained = float(np.sum(self.S[self.grouped] ** 2 / self.inner[self.grouped]))
        if self.paired:
            explained += float(np.sum(self.D[self.present] ** 2 / self.between[self.present]))
        return max(self.data.square - explained, 1e-3 * self.entries) / self.entries

    def means_of_groups(self) -> None:
        """Set the means inside groups and between them, and their variances."""
        S, D, inner, grouped, present = self.S, self.D, self.inner, self.grouped, self.present
        if grouped.any():
            self.tau, self.m0 = self.of_groups.variance_and_mean(S[grouped], self.s2)
        # Tasks that harm one another are alike, too, but no group to be trained together.
        m = np.maximum((S * self.tau + self.m0) / (1.0 + self.tau * inner), 0.0)
        self.m = np.where(grouped, m, 0.0)
        self.d = np.zeros(len(D))
        if self.paired:
            between = self.between
            self.kappa = self.of_pairs.variance(D[present], self.s2)
            self.d = D * self.kappa / (1.0 + self.kappa * between)
            self.M[self.upper] = self.M[self.upper[::-1]] = self.d

    def effects_of_tasks(self) -> None:
        """Set background and effects of tasks, and the variance of these."""
        data, weight = self.data, self.data.weight
        expected = self.own_weight * self.m[self.labels]
        if self.paired:
            expected += np.einsum("ic,ic->i", self.B, self.M[self.labels])
        fitted = 2.0 * float(self.m @ self.inner + self.d @ self.between)
        for _ in range(2):
            alone = data.row - self.b * weight - data.weighted(self.r) - expected
            self.rho = data.effects.variance(alone[data.seen], self.s2)
            self.r = alone * self.rho / (1.0 + self.rho * weight)
            self.r -= float(self.r @ weight) / max(2.0 * data.total, 1e-300)
            self.b = (data.sum - fitted) / max(2.0 * data.total, 1e-300)
        self.S, self.D = self._left_of_blocks()

    def noise(self) -> None:
        """Set the variance of the noise, effects counted by what they cost."""
        left = max(self._squares_left(), 1e-12 * self.entries)
        quadratic = left + float(self.r @ self.r) / self.rho
        if self.grouped.any():
            quadratic += float(np.sum((self.m[self.grouped] - self.m0) ** 2)) / self.tau
        if self.paired:
            quadratic += float(self.d @ self.d) / self.kappa
        # One entry's worth of the variance of all keeps a handful of entries from being fitted exactly.
        self.s2 = (quadratic + 1.0) / (self.entries + 1.0)

    def _squares_left(self) -> float:
        data, r, b, m, d = self.data, self.r, self.b, self.m, self.d
        return (
            data.square
            - 2.0 * float(r @ data.row)
            - b * data.sum
            + float(r * r @ data.weight)
            + float(r @ data.weighted(r))
            + b * b * data.total
            + 2.0 * b * float(r @ data.weight)
            - 2.0 * float(m @ self.S + d @ self.D)
            + float(m * m @ self.inner + d * d @ self.between)
        )

    def _helps(self) -> bool:
        """Whether tasks of every group do as much for one another as for others, on average."""
        others = self.weight - np.diag(np.diag(self.weight))
        beyond = np.einsum("ab,ab->a", self.M, others) > self.m * others.sum(axis=1)
        return not (beyond & self.grouped).any()

    def result(self) -> Fit:
        """Return what was found and what it costs."""
        # The background takes one degree of freedom of the entries, which tells with a handful of them.
        cost = self.entries * (np.log(self.s2) + 1.0) + np.log(self.data.n)
        cost += float(np.log1p(self.rho * self.data.weight).sum())
        cost += float(np.log1p(self.tau * self.inner[self.grouped]).sum())
        if self.grouped.any():
            cost += 2.0 * np.log1p(float(self.grouped.sum()))
        if self.paired:
            cost += float(np.log1p(self.kappa * self.between).sum()) + np.log1p(self.present.sum())
        if self.paired and not self._helps():
            cost = np.inf
        cost -= 2.0 * log_prior(np.bincount(self.labels, minlength=self.k).astype(float))
        M = self.M if self.paired else None
        kappa = self.kappa if self.paired else 0.0
        return Fit(float(cost), self.b, self.m0, self.s2, self.rho, self.tau, kappa, self.r, self.m, M)
