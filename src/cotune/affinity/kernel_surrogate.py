"""Kernel surrogate of training on a subset: what the linear one misses are interactions of tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from cotune.affinity._gaussian import Array
from cotune.affinity._surrogate import Surrogate
from cotune.exceptions import InputError

DECAYS = (0.03, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Candidates for the kernel's decay: from almost linear to almost a function of the very subset."""


class KernelSurrogate(Surrogate):
    """Approximate ``f_i(S)`` by kernel ridge regression on subsets (after arXiv 2602.03783).

    ``k(S, S') = exp(-decay * |S - S'| - decay * |S' - S|)``: subsets count as alike by the number of tasks
    they do not share. The kernel is a product over tasks, so it holds interactions of all orders, each order
    with less weight; a small decay leaves the linear surrogate. The mean is not penalised.

    Parameters
    ----------
    ridge : float, optional
        Added to the kernel's diagonal. By default noise over signal by restricted maximum likelihood, one
        ratio for all tasks.
    decay : float, optional
        By default the one of :data:`DECAYS` with the largest restricted likelihood; must be given with
        ``ridge``.

    Attributes
    ----------
    decay_ : float
        The decay used.
    ridge_ : float
        The ridge used.
    log_likelihood_ : float
        Restricted log-likelihood of all tasks' scores, without constants, comparable with that of a
        :class:`LinearSurrogate` on the same runs; NaN where ``ridge`` was given.
    """

    decay_: float

    def __init__(self, *, ridge: float | None = None, decay: float | None = None) -> None:
        super().__init__(ridge=ridge)
        if decay is not None and not decay > 0:
            raise InputError(f"The 'decay' parameter must be None or positive, got {decay!r}.")
        if ridge is not None and decay is None:
            raise InputError("A kernel surrogate with a given 'ridge' needs a given 'decay' too, got None.")
        self.decay = decay

    def _fit_kernel(self) -> None:
        if self.decay is not None:
            self.decay_ = self.decay
            super()._fit_kernel()
            return
        best = None
        for decay in DECAYS:
            self.decay_ = decay
            solved = self._solve()
            if best is None or solved[2] > best[1][2]:
                best = decay, solved
        assert best is not None
        self.decay_, (self._posteriors, self.ridge_, self.log_likelihood_) = best

    def _kernel(self, a: Array, b: Array) -> Array:
        distance = a.sum(1)[:, None] + b.sum(1)[None, :] - 2.0 * (a @ b.T)
        return np.asarray(np.exp(-self.decay_ * distance))

    def _own(self, a: Array) -> Array:
        return np.ones(len(a))

    def _mean_kernel(self, company: Array, size: int) -> tuple[Array, float, float]:
        n, others = self._n, company.sum(1).astype(int)
        cross = np.empty((n, len(company)))
        for count in np.unique(others):
            rows = others == count
            absent = self._random_overlap(n - 2, count, size - 2, count + size - 1)
            present = self._random_overlap(n - 2, count - 1, size - 2, count + size - 3)
            cross[:, rows] = np.where(company[rows].T > 0, present, absent)
        own = self._random_overlap(n - 2, size - 2, size - 2, 2 * size - 4)
        return cross, own, self._random_overlap(n - 1, size - 1, size - 1, 2 * size - 2)

    def _random_overlap(self, population: int, marked: int, drawn: int, apart: int) -> float:
        """Mean of exp(-decay (apart - 2 H)), H the overlap of ``drawn`` random tasks with ``marked`` ones."""
        if marked < 0 or marked > population:
            return float("nan")  # no such run: a company without others, or of all of them
        overlap = np.arange(max(0, marked + drawn - population), min(marked, drawn) + 1)
        chosen = _log_choose(marked, overlap) + _log_choose(population - marked, drawn - overlap)
        weight = np.exp(chosen - _log_choose(population, drawn))
        return float(weight @ np.exp(-self.decay_ * (apart - 2.0 * overlap)))


def _log_choose(n: int, k: int | NDArray[np.int_]) -> Array:
    """Log of the number of ways to choose k of n."""
    return np.asarray(-np.log1p(n) - betaln(n - k + 1, k + 1))
