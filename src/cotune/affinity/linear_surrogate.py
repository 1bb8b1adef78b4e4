"""Linear surrogate of training on a subset (App. B.3 of AdaGroup; Ilyas et al., 2022; Li et al., 2023)."""

from __future__ import annotations

import numpy as np

from cotune.affinity._affinity import Affinity
from cotune.affinity._gaussian import Array, Spectrum
from cotune.affinity._surrogate import Surrogate
from cotune.exceptions import InputError


class LinearSurrogate(Surrogate):
    """Approximate ``f_i(S)`` by ``g_i(S) = sum of theta_ij over j in S``, by ridge least squares.

    For every task i over its own runs S_1 .. S_m,

        min over theta_i of  sum over r of (g_i(S_r) - f_i(S_r))^2 + ridge * sum over j != i of theta_ij^2.

    Task i is in all of them, so theta_ii is the intercept, and it is not penalised. With subsets of one
    size the other theta_ij are told only up to a common constant; ridge, and least squares of minimal
    norm, make them sum to 0.

    Parameters
    ----------
    ridge : float, optional
        0 is the least squares of the paper. By default noise over signal by restricted maximum
        likelihood, one ratio for all tasks, every task with a scale of its own.

    Attributes
    ----------
    theta_ : Affinity
        ``matrix[i, j]`` is theta_ij, in the units of the scores for one more task; NaN with count 0 where i
        and j were never in a run together (``predict`` takes 0). Counts are runs with both. Standard errors
        are posterior deviations under ridge (NaN for a task with three runs or fewer), those of least
        squares at ``ridge=0``, and NaN on the diagonal.
    noise_ : ndarray of shape (n,)
        Standard deviation of the noise of a run, by task, in the units of the scores; 0 at ``ridge=0``.
    ridge_ : float
        The ridge used.
    log_likelihood_ : float
        Restricted log-likelihood of all tasks' scores, without constants; NaN where ``ridge`` was given.

    See Also
    --------
    eq8_factor : How theta relates to the higher-order affinity of Eq. (6).
    """

    theta_: Affinity
    noise_: Array

    def _fit_kernel(self) -> None:
        super()._fit_kernel()
        n = self._n
        matrix, stderr = np.empty((n, n)), np.empty((n, n))
        for i, (company, posterior) in enumerate(zip(self._company, self._posteriors, strict=True)):
            matrix[i], stderr[i] = posterior.functional(company.T, np.ones(n), constant=False)
            nothing = np.zeros((1, len(company)))
            matrix[i, i] = posterior.functional(nothing, np.zeros(1), constant=True)[0][0]
        np.fill_diagonal(stderr, np.nan)
        self.theta_ = self._with_counts(matrix, stderr)
        self.noise_ = np.array([posterior.noise for posterior in self._posteriors])

    def _spectrum(self, company: Array, y: Array) -> Spectrum:
        return Spectrum.of_factor(company, y)

    def _kernel(self, a: Array, b: Array) -> Array:
        return np.asarray(a @ b.T)

    def _own(self, a: Array) -> Array:
        return np.asarray(a.sum(1))

    def _mean_kernel(self, company: Array, size: int) -> tuple[Array, float, float]:
        n = self._n
        others = (size - 2) / (n - 2) if n > 2 else 0.0
        any_other = (size - 1) / (n - 1)
        cross = company.T + others * (company.sum(1)[None, :] - company.T)
        return cross, 1.0 + (n - 2) * others**2, (n - 1) * any_other**2


def eq8_factor(n: int, size: int) -> float:
    """Return the factor c between Eq. (6) and least squares: ``T_ij - T_ik = c (theta_ij - theta_ik)``.

    Over all subsets of one size, ``c = (n - size) / (n - 2)`` exactly, whatever f is: subsets drawn without
    replacement hold another task a little less often once they hold j. Over m sampled subsets the two
    sides differ by no more than the order of ``log(n / delta) / sqrt(m)`` with probability 1 - delta, which
    is Eq. (8).
    The paper prints ``1 / m`` in the place of c; that is the factor for its unnormalised normal equations.

    Parameters
    ----------
    n : int
        Number of tasks, at least 3.
    size : int
        Tasks in a subset, from 2 to n - 1: with all tasks in every subset theta is not told.

    Raises
    ------
    InputError
        If n or size is out of range.
    """
    if n < 3 or not 2 <= size <= n - 1:
        raise InputError(f"Eq. 8 needs n >= 3 tasks and subsets of 2 to n - 1, got n = {n}, size = {size}.")
    return (n - size) / (n - 2)
