"""What the linear and the kernel surrogate share: one regression a task of its score on its company."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.affinity._affinity import Affinity
from cotune.affinity._gaussian import Array, Posterior, Spectrum, best_ratio
from cotune.affinity._runs import check_membership, check_runs, pair_counts
from cotune.exceptions import InputError


class Surrogate(ABC):
    """A model ``g_i(S)`` of ``f_i(S)``, fitted to trained runs and cheap to ask about any other subset.

    See :class:`LinearSurrogate` and :class:`KernelSurrogate`.
    """

    ridge_: float
    """Noise over signal: the multiple of the identity added to the kernel, in the kernel's units."""
    log_likelihood_: float
    """Restricted log-likelihood of all tasks' scores, without constants; NaN where ``ridge`` was given."""

    def __init__(self, *, ridge: float | None = None) -> None:
        if ridge is not None and not ridge >= 0:
            raise InputError(f"The 'ridge' parameter must be None or at least 0, got {ridge!r}.")
        self.ridge = ridge

    def fit(self, membership: ArrayLike, scores: ArrayLike) -> Self:
        """Fit one function a task.

        Parameters
        ----------
        membership : array_like of bool, shape (m, n)
            Whether task i was trained in run r; subsets may have different sizes.
        scores : array_like of shape (m, n)
            ``f_i(S_r)``, higher is better; ignored where the task was not in the run.

        Returns
        -------
        Self
            Fitted.

        Raises
        ------
        InputError
            If the scores do not fit the membership, or a task is in no run.
        """
        inside, f = check_runs(membership, scores)
        if not inside.any(0).all():
            raise InputError(f"Task {int(np.flatnonzero(~inside.any(0))[0])} is in no run.")
        self._n = inside.shape[1]
        self._counts = pair_counts(inside)
        self._company = [_company(inside[inside[:, i]], i) for i in range(self._n)]
        self._targets = [f[inside[:, i], i] for i in range(self._n)]
        self._fit_kernel()
        return self

    def predict(self, membership: ArrayLike, *, return_std: bool = False) -> Array | tuple[Array, Array]:
        """Predict the scores of subsets.

        Parameters
        ----------
        membership : array_like of bool, shape (q, n)
            The subsets.
        return_std : bool
            Whether to return also the standard error of each prediction, not counting the noise of a run.

        Returns
        -------
        ndarray of shape (q, n), or a pair of them
            ``g_i(S)`` for the tasks of each subset, NaN elsewhere.

        Raises
        ------
        InputError
            If membership does not have a column for every task.
        """
        inside = check_membership(membership, self._n)
        mean, error = np.full(inside.shape, np.nan), np.full(inside.shape, np.nan)
        for i in range(self._n):
            rows = inside[:, i]
            if not rows.any():
                continue
            asked = _company(inside[rows], i)
            cross = self._kernel(asked, self._company[i])
            own = self._own(asked)
            mean[rows, i], error[rows, i] = self._posteriors[i].functional(cross, own, constant=True)
        return (mean, error) if return_std else mean

    def affinity(self, size: int, *, unmet: bool = False) -> Affinity:
        """Eq. (6) of the surrogate: the mean of ``g_i(S)`` over all subsets of a size that hold i and j.

        Parameters
        ----------
        size : int
            Tasks in a subset, from 2 to n.
        unmet : bool
            Whether to tell also of pairs that never met, by what the other runs of the task say.

        Returns
        -------
        Affinity
            In the units of the scores, with posterior standard errors. Counts are the runs of the fit that
            held both; entries of pairs that never met have count 0 and are NaN unless asked for. The
            diagonal is the mean over all subsets of that size with the task.

        Raises
        ------
        InputError
            If ``size`` is not from 2 to n.
        """
        if not 2 <= size <= self._n:
            raise InputError(f"The subset size must be from 2 to {self._n}, got {size}.")
        matrix, stderr = np.empty((self._n, self._n)), np.empty((self._n, self._n))
        for i, (company, posterior) in enumerate(zip(self._company, self._posteriors, strict=True)):
            cross, own, own_any = self._mean_kernel(company, size)
            # Every subset with i holds equally many others, so its own mean is the mean over them.
            cross[i] = cross[np.arange(self._n) != i].mean(0)
            owns = np.where(np.arange(self._n) == i, own_any, own)
            matrix[i], stderr[i] = posterior.functional(cross, owns, constant=True)
        return Affinity(matrix, self._counts, stderr) if unmet else self._with_counts(matrix, stderr)

    def _with_counts(self, matrix: Array, stderr: Array) -> Affinity:
        met = self._counts > 0
        return Affinity(np.where(met, matrix, np.nan), self._counts, np.where(met, stderr, np.nan))

    def _solve(self) -> tuple[list[Posterior], float, float]:
        """Posterior of every task under the current kernel, the ridge, and the log-likelihood."""
        spectra = [self._spectrum(c, y) for c, y in zip(self._company, self._targets, strict=True)]
        ridge, likelihood = (self.ridge, float("nan")) if self.ridge is not None else best_ratio(spectra)
        return [Posterior(s, ridge) for s in spectra], ridge, likelihood

    def _fit_kernel(self) -> None:
        """Set ``_posteriors``, ``ridge_`` and ``log_likelihood_``."""
        self._posteriors, self.ridge_, self.log_likelihood_ = self._solve()

    def _spectrum(self, company: Array, y: Array) -> Spectrum:
        """Decompose the kernel between the runs of a task."""
        return Spectrum.of_kernel(self._kernel(company, company), y)

    @abstractmethod
    def _kernel(self, a: Array, b: Array) -> Array:
        """Kernel between companies, shapes (p, n) and (q, n), to (p, q)."""

    @abstractmethod
    def _own(self, a: Array) -> Array:
        """Kernel of each company with itself, shape (p,)."""

    @abstractmethod
    def _mean_kernel(self, company: Array, size: int) -> tuple[Array, float, float]:
        """Mean kernels of random subsets of a size.

        Returns
        -------
        cross : ndarray of shape (n, m)
            Between a random company that holds task j and that of each run; row i of task i's own
            regression means nothing.
        own : float
            Between two independent random companies that hold the same task.
        own_any : float
            Between two independent random companies.
        """


def _company(inside: NDArray[np.bool_], task: int) -> Array:
    """Return the other tasks of each subset, as 0 and 1."""
    company = np.asarray(inside, dtype=float)
    company[:, task] = 0.0
    return company
