"""Ridge regression in its Gaussian form: one value and one honest error for any linear functional.

The model is y = mu + g + noise with a flat prior on mu, g ~ N(0, s K) and noise ~ N(0, s ratio I). Its
posterior mean is ridge regression with an unpenalised intercept; its posterior deviation is the error that
goes with the shrinkage, where that of least squares would ignore the bias (Wahba, 1983).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DECADES = 6.0
"""The ratio of noise to signal is searched within so many powers of ten around the kernel's own scale."""
_GRID = 25
_FEWEST_RUNS = 3
"""With so many runs or fewer Student's posterior has no standard deviation."""
_RANK = 1e-10
"""Eigenvalues below this share of the largest count as zero in least squares."""


@dataclass(frozen=True)
class Spectrum:
    """A centred kernel matrix HKH, H = I - ee'/m, and scores in its eigenvectors.

    Parameters
    ----------
    kernel_mean : ndarray of shape (m,)
        Row means of the kernel between runs, before centring.
    mean : float
        Mean of the scores.
    values : ndarray of shape (r,)
        Eigenvalues d of HKH; those left out are zero.
    vectors : ndarray of shape (m, r)
        Eigenvectors U.
    scores : ndarray of shape (r,)
        U'(y - mean).
    rest : float
        Sum of squares of y - mean outside of U.
    """

    kernel_mean: Array
    mean: float
    values: Array
    vectors: Array
    scores: Array
    rest: float

    @classmethod
    def of_kernel(cls, kernel: Array, y: Array) -> Spectrum:
        """Decompose a kernel matrix, shape (m, m); y has shape (m,)."""
        row = kernel.mean(0)
        values, vectors = np.linalg.eigh(kernel - row - row[:, None] + row.mean())
        return cls._with(row, values, vectors, y)

    @classmethod
    def of_factor(cls, X: Array, y: Array) -> Spectrum:
        """Decompose the kernel XX' of features X, shape (m, p), without forming it."""
        mean = X.mean(0)
        vectors, singular, _ = np.linalg.svd(X - mean, full_matrices=False)
        kept = singular > _RANK * singular.max(initial=1.0)
        return cls._with(X @ mean, singular[kept] ** 2, vectors[:, kept], y)

    @classmethod
    def _with(cls, row: Array, values: Array, vectors: Array, y: Array) -> Spectrum:
        mean = float(y.mean())
        scores = vectors.T @ (y - mean)
        rest = float(((y - mean) ** 2).sum() - (scores**2).sum())
        return cls(row, mean, np.maximum(values, 0.0), vectors, scores, max(rest, 0.0))

    @property
    def runs(self) -> int:
        """Number of runs m."""
        return len(self.kernel_mean)

    @property
    def informative(self) -> bool:
        """Whether the scores differ between runs at all."""
        total = float((self.scores**2).sum()) + self.rest
        return self.runs > 1 and total > self.runs * (1e-13 * self.mean) ** 2

    def signal(self, ratio: float) -> float:
        """Restricted-likelihood estimate of s, the variance that multiplies the kernel."""
        fitted = float((self.scores**2 / (self.values + ratio)).sum())
        return (fitted + self.rest / ratio) / (self.runs - 1)


@dataclass(frozen=True)
class Spectra:
    """The spectra of several tasks in one row, for a likelihood that is asked for at many ratios.

    Parameters
    ----------
    values, squares : ndarray of shape (sum of r + 1,)
        Eigenvalues and squared scores, before each task's a zero.
    starts : ndarray of shape (n,)
        Where each task begins.
    rest, free : ndarray of shape (n,)
        Sums of squares outside of the eigenvectors, and degrees of freedom.
    zeros : float
        Eigenvalues of 0 that are left out, less those that were put in.
    """

    values: Array
    squares: Array
    starts: NDArray[np.intp]
    rest: Array
    free: Array
    zeros: float

    @classmethod
    def of(cls, spectra: Sequence[Spectrum]) -> Spectra:
        """Join them; a zero before each, since sums over a task without any direction must be 0 as well."""
        values = [np.concatenate([[0.0], s.values]) for s in spectra]
        squares = [np.concatenate([[0.0], s.scores**2]) for s in spectra]
        lengths = np.array([len(v) for v in values])
        free = np.array([s.runs - 1.0 for s in spectra])
        return cls(
            np.concatenate(values),
            np.concatenate(squares),
            np.cumsum(lengths) - lengths,
            np.array([s.rest for s in spectra]),
            free,
            float((free - lengths).sum()),
        )

    def log_likelihood(self, ratio: float) -> float:
        """Sum of the restricted log-likelihoods, each at its best s, without constants."""
        shifted = self.values + ratio
        fitted = np.add.reduceat(self.squares / shifted, self.starts)
        signal = (fitted + self.rest / ratio) / self.free
        # The direction of each mean, whose eigenvalue is 0, is not restricted to anything: it is left out.
        spread = float(np.log(shifted).sum()) + self.zeros * np.log(ratio)
        return -0.5 * float(spread + self.free @ np.log(signal))


def best_ratio(spectra: Sequence[Spectrum]) -> tuple[float, float]:
    """Return the ratio of noise to signal that all tasks share, and its summed restricted log-likelihood.

    A task has too few runs to tell its own ratio; its scale s is its own.
    """
    from scipy.optimize import minimize_scalar  # slow to import

    useful = [s for s in spectra if s.informative]
    total = sum(float(s.values.sum()) for s in useful)
    if not total > 0:
        return 1.0, 0.0
    unit = total / sum(s.runs - 1 for s in useful)

    together = Spectra.of(useful)

    def loss(exponent: float) -> float:
        return -together.log_likelihood(unit * 10.0**exponent)

    grid = np.linspace(-_DECADES, _DECADES, _GRID)
    values = [loss(x) for x in grid]
    at = int(np.argmin(values))
    step = grid[1] - grid[0]
    found = minimize_scalar(loss, bounds=(grid[at] - step, grid[at] + step), method="bounded")
    exponent, value = (found.x, found.fun) if found.fun < values[at] else (grid[at], values[at])
    return float(unit * 10.0**exponent), -float(value)


@dataclass(frozen=True)
class Posterior:
    """What the runs of one task say about any linear functional of its score function."""

    spectrum: Spectrum
    ratio: float

    @property
    def noise(self) -> float:
        """Standard deviation of the noise of a run, from the restricted likelihood; 0 at ratio 0."""
        s = self.spectrum
        return float(np.sqrt(s.signal(self.ratio) * self.ratio)) if self.ratio > 0 and s.runs > 1 else 0.0

    def functional(self, cross: Array, own: Array, *, constant: bool) -> tuple[Array, Array]:
        """Return value and standard error of functionals.

        Parameters
        ----------
        cross : ndarray of shape (q, m)
            Kernel between each functional and each run.
        own : ndarray of shape (q,)
            Kernel of each functional with itself.
        constant : bool
            Whether the functional takes the value 1 on the constant function (a mean of scores), or 0 (a
            difference).
        """
        s = self.spectrum
        centred = cross - cross.mean(1, keepdims=True)
        if constant:
            centred = centred - (s.kernel_mean - s.kernel_mean.mean())
            own = own - 2.0 * cross.mean(1) + s.kernel_mean.mean()
        along = centred @ s.vectors
        value = along @ (s.scores * self._inverse()) + (s.mean if constant else 0.0)
        return value, self._stderr(along, own, constant)

    def _inverse(self) -> Array:
        if self.ratio > 0:
            return np.asarray(1.0 / (self.spectrum.values + self.ratio))
        values = self.spectrum.values
        kept = values > _RANK * values.max(initial=0.0)
        return np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)

    def _stderr(self, along: Array, own: Array, constant: bool) -> Array:
        s, inverse = self.spectrum, self._inverse()
        m = s.runs
        if self.ratio > 0:
            if m <= _FEWEST_RUNS:
                return np.full(len(along), np.nan)
            # The scale is told by m - 1 values: the posterior is Student's, and wider than the normal one.
            scale = s.signal(self.ratio) * (m - 1) / (m - 3)
            noise = scale * self.ratio
            variance = scale * np.maximum(own - along**2 @ inverse, 0.0)
        else:
            free = m - 1 - int(np.count_nonzero(inverse))
            left = s.rest + float((s.scores**2)[inverse == 0].sum())
            noise = left / free if free > 0 else np.nan
            variance = noise * (along**2 @ inverse**2)
        return np.sqrt(variance + (noise / m if constant else 0.0))
