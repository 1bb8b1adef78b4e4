"""One step of the splitting that solves Eq. 5.

The feasible set is the intersection of the spectral set {Xe = e, tr X = k, 0 <= X <= I}, onto which one
eigendecomposition projects, and the matrices without negative entries. Douglas-Rachford keeps one
state G for both: the primal Z = max(G, 0) and the dual Y = rho max(-G, 0), so every iterate gives a bound.
"""

from __future__ import annotations

import numpy as np

from cotune.grouping._partition import Matrix
from cotune.grouping._problem import CentredProblem
from cotune.grouping.acceleration import Anderson
from cotune.grouping.eigen import FilteredEigenspace, capped_weights, simplex_weights

OVER_RELAXATION = 1.8
CAP_FROM = 5
"""From this k on, X <= I is imposed explicitly; below, it does not pay."""


class Splitting:
    """The state of the iteration.

    Parameters
    ----------
    problem : CentredProblem
        Affinities and k.
    rng : numpy.random.Generator
        For the blocks of the eigensolver.
    G : ndarray of shape (n, n)
        Initial state, symmetric: X - Y / rho.
    rho : float
        Initial penalty.

    Attributes
    ----------
    factor : ndarray of shape (n, r)
        F of the last X = ee'/n + FF', which satisfies every constraint of Eq. 5 but the signs.
    lowest : float
        The smallest entry of that X, when last measured.
    primal_residual, dual_residual : float
        Relative changes that measure the distance from a solution, when last measured.
    """

    def __init__(self, problem: CentredProblem, rng: np.random.Generator, G: Matrix, rho: float) -> None:
        n, k = problem.n_tasks, problem.n_clusters
        self.problem, self.rho, self.G = problem, rho, G
        self._tilt, self._modulus = problem.C / rho, np.empty_like(G)
        self.eigen = FilteredEigenspace(n, capped_weights if k >= CAP_FROM else simplex_weights, rng)
        self.anderson = Anderson(8, 4)
        self.eigen.seed(self._tilted(), k + 9)
        self.primal_residual = self.dual_residual = 1.0
        self.factor: Matrix = np.zeros((n, 1))
        self.lowest = -np.inf

    def step(self, adapt: bool, measure: bool) -> None:
        """Project, reflect and accelerate once.

        Parameters
        ----------
        adapt : bool
            Whether the penalty may change, which restarts the acceleration.
        measure : bool
            Whether to update the residuals.
        """
        n = self.problem.n_tasks
        tolerance = max(1e-9, min(1e-2, 0.1 * self.primal_residual))
        x, Q = self.eigen.top(self._tilted(), self.problem.n_clusters - 1.0, tolerance)
        self.factor = Q * np.sqrt(x)
        # a X + (1 - a) max(G, 0) + min(G, 0), with both parts of G written through |G|, which is cheaper
        scaled = self.factor * np.sqrt(OVER_RELAXATION)
        image = scaled @ scaled.T
        self._modulus *= OVER_RELAXATION / 2.0
        self._modulus -= OVER_RELAXATION / n
        image -= self._modulus
        image += (1.0 - OVER_RELAXATION / 2.0) * self.G
        if measure:
            self._measure(self.factor @ self.factor.T + 1.0 / n, image)
        change = self._penalty_change() if adapt and measure else 1.0
        if change != 1.0:
            self.rho *= change
            self._tilt = self.problem.C / self.rho
            image[image < 0] /= change
            self.anderson.restart()
            self.G = image
        else:
            self.G = self.anderson.advance(self.G, image)

    def _tilted(self) -> Matrix:
        np.abs(self.G, out=self._modulus)
        return np.asarray(self._tilt + self._modulus)

    def _measure(self, X: Matrix, image: Matrix) -> None:
        self.lowest = float(X.min())
        new = np.maximum(image, 0.0)
        dual = self.rho * float(np.linalg.norm(image - new))
        moved = np.maximum(self.G, 0.0)
        np.subtract(new, moved, out=moved)
        self.dual_residual = self.rho * float(np.linalg.norm(moved)) / max(1.0, dual)
        np.subtract(X, new, out=new)
        self.primal_residual = float(np.linalg.norm(new)) / np.sqrt(self.problem.n_clusters)

    def _penalty_change(self) -> float:
        if self.primal_residual > 3.0 * self.dual_residual and self.primal_residual > 1e-12:
            return 1.25
        return 0.8 if self.dual_residual > 3.0 * self.primal_residual else 1.0

    def value(self) -> float:
        """<C, X> of the last X."""
        return float(np.vdot(self.problem.C @ self.factor, self.factor))

    def dual(self) -> Matrix:
        """Y >= 0 of the last point that is not a mere extrapolation, shape (n, n)."""
        safe = self.anderson.safe_point
        Y = np.maximum(-(self.G if safe is None else safe), 0.0)
        Y *= self.rho
        return np.asarray(Y)

    def leading_vectors(self) -> Matrix:
        """Return a block that contains approximate leading eigenvectors of J(C + Y)J, shape (n, m)."""
        return self.factor if self.eigen.block is None else self.eigen.block
