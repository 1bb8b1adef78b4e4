"""A surrogate that learns how the effect of company changes with its size: a sum, a mean, or between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cotune.affinity._gaussian import Array, Spectrum
from cotune.affinity._surrogate import Surrogate
from cotune.exceptions import InputError

Members = NDArray[np.bool_]

POWERS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Candidates for the power: 1 is a mean over the company, 0 a sum. The mean, which promises the least of
groups larger than any that was run, comes first and wins where the runs tell nothing."""
COMMON = (0.0, 1.0)
"""Candidates for the prior variance of what all companions have in common, beside that of one of them."""


class CompanySurrogate(Surrogate):
    """Approximate ``f_i(S)`` by ``a_i + (|S| - 1)^-power * sum of theta_ij over the others j in S``.

    At power 1 the effects of companions are averaged, at 0 added up (the linear surrogate), and between
    them they saturate. The prior of ``theta_ij`` is ``N(m_i, s)`` with ``m_i ~ N(0, common s)``: where all
    company of a task has an effect in common, little is needed to learn it. ``a_i`` is the score alone, told
    by the runs of the task alone where there are any.

    Parameters
    ----------
    ridge : float, optional
        Noise over signal; by default by restricted maximum likelihood, one ratio for all tasks.
    power, common : float, optional
        By default those of :data:`POWERS` and :data:`COMMON` with the largest restricted likelihood; must be
        given with ``ridge``.

    Attributes
    ----------
    power_, common_, ridge_ : float
        Those used.
    by_size_ : ndarray of shape (n,)
        The factor of a group of s tasks at s - 1; 0 for a task alone.
    effects_ : ndarray of shape (n, n)
        ``theta_ij``, 0 on the diagonal; for pairs that never met what the task's other company says.
    """

    power_: float
    common_: float
    by_size_: Array
    effects_: Array

    def __init__(
        self, *, ridge: float | None = None, power: float | None = None, common: float | None = None
    ) -> None:
        super().__init__(ridge=ridge)
        if power is not None and not 0 <= power <= 1:
            raise InputError(f"The 'power' parameter must be None or from 0 to 1, got {power!r}.")
        if common is not None and not common >= 0:
            raise InputError(f"The 'common' parameter must be None or at least 0, got {common!r}.")
        if ridge is not None and (power is None or common is None):
            raise InputError("A company surrogate with a given 'ridge' needs 'power' and 'common' too.")
        self.power = power
        self.common = common

    def _fit_kernel(self) -> None:
        best = None
        powers = POWERS if self.power is None else (self.power,)
        if len({int(size) for company in self._company for size in np.unique(company.sum(1))} - {0}) < 2:
            powers = powers[:1]  # of company of one size all say the same, and the first would stay
        for power in powers:
            for common in COMMON if self.common is None else (self.common,):
                self.power_, self.common_ = power, common
                solved = self._solve()
                # Powers that no run tells apart differ by rounding only: the first of them stays.
                if best is None or solved[2] > best[1][2] + 1e-6 * abs(best[1][2]):
                    best = (power, common), solved
        assert best is not None
        (self.power_, self.common_), (self._posteriors, self.ridge_, self.log_likelihood_) = best
        self.by_size_ = self._factor(np.arange(self._n, dtype=float))
        self.effects_ = np.empty((self._n, self._n))
        for i, (company, posterior) in enumerate(zip(self._company, self._posteriors, strict=True)):
            # One companion alone has the factor 1: its effect is theta.
            cross = self._kernel(np.eye(self._n), company)
            self.effects_[i] = posterior.functional(cross, np.ones(self._n), constant=False)[0]
        np.fill_diagonal(self.effects_, 0.0)

    def _factor(self, others: Array) -> Array:
        return np.where(others > 0, np.maximum(others, 1.0) ** -self.power_, 0.0)

    def _features(self, company: Array) -> Array:
        others = company.sum(1)
        common = np.sqrt(self.common_) * others
        return np.asarray(self._factor(others)[:, None] * np.column_stack([company, common]))

    def _spectrum(self, company: Array, y: Array) -> Spectrum:
        return Spectrum.of_factor(self._features(company), y)

    def _kernel(self, a: Array, b: Array) -> Array:
        return np.asarray(self._features(a) @ self._features(b).T)

    def _own(self, a: Array) -> Array:
        return np.asarray((self._features(a) ** 2).sum(1))

    def _mean_kernel(self, company: Array, size: int) -> tuple[Array, float, float]:
        n, runs = self._n, company.sum(1)
        others = (size - 2) / (n - 2) if n > 2 else 0.0
        any_other = (size - 1) / (n - 1)
        here, there = float(self._factor(np.array([size - 1.0]))[0]), self._factor(runs)
        shared = company.T + others * (runs[None, :] - company.T) + self.common_ * (size - 1) * runs
        both = here**2 * self.common_ * (size - 1) ** 2
        own = here**2 * (1.0 + (n - 2) * others**2) + both
        return here * there * shared, own, here**2 * (n - 1) * any_other**2 + both


def company_effects(inside: Members, scores: Array, *, ridge: float, power: float, common: float) -> Array:
    """Return the effects that a :class:`CompanySurrogate` with these options finds, without their errors.

    They are the solution of its normal equations, which takes a tenth of the time of its decomposition; the
    two differ by rounding.

    Parameters
    ----------
    inside : ndarray of bool, shape (m, n)
        Whether task i was trained in run r.
    scores : ndarray of shape (m, n)
        ``f_i(S_r)``; ignored where the task was not in the run.
    ridge : float
        Noise over signal, above 0.
    power, common : float
        The law of company.

    Returns
    -------
    ndarray of shape (n, n)
        ``theta_ij``, 0 on the diagonal.
    """
    from scipy.linalg import solve  # slow to import

    n = inside.shape[1]
    effects = np.zeros((n, n))
    for task in range(n):
        runs = inside[:, task]
        company = inside[runs].astype(float)
        company[:, task] = 0.0
        others = company.sum(1)
        factor = np.where(others > 0, np.maximum(others, 1.0) ** -power, 0.0)
        X = factor[:, None] * np.column_stack([company, np.sqrt(common) * others])
        X -= X.mean(0)
        y = scores[runs, task] - scores[runs, task].mean()
        if len(X) < X.shape[1]:
            theta = X.T @ solve(X @ X.T + ridge * np.eye(len(X)), y, assume_a="pos")
        else:
            theta = solve(X.T @ X + ridge * np.eye(X.shape[1]), X.T @ y, assume_a="pos")
        effects[task] = theta[:n] + np.sqrt(common) * theta[n]
    np.fill_diagonal(effects, 0.0)
    return effects
