"""Solve the relaxation of Eq. 5 and prove how good the groups are (step 1 of Procedure 1).

Eq. 5 maximises <T, X> subject to Xe = e, tr X = k, X >= 0, X positive semidefinite. The iteration is a
Douglas-Rachford splitting between the spectral set {Xe = e, tr X = k, 0 <= X <= I}, onto which one
eigendecomposition projects exactly, and the non-negative matrices. One state G carries both the
primal Z = max(G, 0) and the dual Y = rho max(-G, 0), so that every iterate gives an upper bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cotune.grouping._partition import Labels, Matrix, density_sum, partition_matrix
from cotune.grouping._problem import CentredProblem, relative_gap
from cotune.grouping.acceleration import Anderson
from cotune.grouping.certificate import Certificate, bound_of, certify
from cotune.grouping.eigen import FilteredEigenspace, capped_weights, simplex_weights
from cotune.grouping.local_search import best_of
from cotune.grouping.propose import propose, spectral_starts
from cotune.grouping.rounding import kmeans_rows

Progress = Callable[[int, float, float], object]
"""Called with the iteration, the objective of the best partition and the upper bound, in the units of T."""

OVER_RELAXATION = 1.7
ADAPT_UNTIL = 100
CAP_FROM = 5
"""From this k on, X <= I is imposed explicitly."""

ROUND_AT = frozenset({10, 20, 30, 40, 60})
START_GAP = 0.02
"""A closed-form dual within this gap is a better start of the iteration than a flat X."""


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """When to stop and what to report on the way.

    Parameters
    ----------
    tol : float
        Relative gap (of centred values) at which a partition counts as proven, or the relaxation as solved.
    max_iter : int
        Most iterations of the splitting.
    time_limit : float or None
        Seconds after which the best so far is returned.
    callback : callable or None
        See :data:`Progress`.
    propose : bool
        Whether to look for a partition and a closed-form proof before iterating.
    """

    tol: float = 1e-5
    max_iter: int = 5000
    time_limit: float | None = None
    callback: Progress | None = None
    propose: bool = True


@dataclass
class Solution:
    """The best known about one problem, in centred units unless said otherwise.

    ``status`` is one of ``"certified"`` (partition and bound meet), ``"solved"`` (the relaxation is
    solved to the tolerance and is not tight, or the partition found is not its best), ``"max_iter"``,
    ``"time_limit"`` and ``"interrupted"``.
    """

    problem: CentredProblem
    labels: Labels
    value: float
    bound: float = np.inf
    sdp_value: float = -np.inf
    factor: Matrix | None = None
    n_iter: int = 0
    status: str = "max_iter"
    Y: Matrix | None = field(default=None, repr=False)

    @property
    def gap(self) -> float:
        """(bound - partition value) / |best lower bound|."""
        return max(self.bound - self.value, 0.0) / max(abs(max(self.sdp_value, self.value)), 1e-12)

    @property
    def sdp_gap(self) -> float:
        """(bound - best feasible X) / |best feasible X|: how well the relaxation itself is solved."""
        return relative_gap(self.bound, max(self.sdp_value, self.value))

    @property
    def X(self) -> Matrix:
        """The best X, shape (n, n): the last iterate, or that of the partition when nothing was iterated."""
        if self.factor is None:
            return partition_matrix(self.labels)
        return np.asarray(self.factor @ self.factor.T + 1.0 / len(self.labels))

    def offer_partition(self, value: float, labels: Labels) -> None:
        """Keep a partition if it is better."""
        if value > self.value:
            self.value, self.labels = value, labels

    def offer_bound(self, certificate: Certificate) -> None:
        """Keep a bound if it is lower."""
        if certificate.bound < self.bound:
            self.bound, self.Y = certificate.bound, certificate.Y


def solve(
    problem: CentredProblem,
    options: SolverOptions,
    rng: np.random.Generator,
    start: Matrix | Labels | None = None,
) -> Solution:
    """Solve Eq. 5 and round it, stopping as soon as the best partition is proven.

    Parameters
    ----------
    problem : CentredProblem
        Affinities and k.
    options : SolverOptions
        Tolerance and limits.
    rng : numpy.random.Generator
        For starts; the result depends on nothing else that is random.
    start : ndarray, optional
        Labels of shape (n,) or an X of shape (n, n) to start from, for instance the previous step's
        (the paper's X_uv = 1/|C| inside a cluster C).

    Returns
    -------
    Solution
        Also after a KeyboardInterrupt, with status ``"interrupted"``.
    """
    n, k = problem.n_tasks, problem.n_clusters
    clock = _Clock(options)
    given = [np.asarray(start, dtype=np.intp)] if start is not None and start.ndim == 1 else []
    solution = _trivial(problem)
    if solution is not None:
        return solution
    fallback = given[0] if given else np.minimum(np.arange(n, dtype=np.intp), k - 1)
    solution = Solution(problem, fallback, density_sum(problem.C, fallback, k))
    try:
        if options.propose:
            randoms = 8 if n <= 60 else 0
            solution.offer_partition(*propose(problem.C, k, rng, extra=given, random_starts=randoms))
            solution.offer_bound(certify(problem, solution.labels, solution.value, options.tol))
        clock.report(solution)
        if solution.gap <= options.tol:
            solution.status = "certified"
            return solution
        _iterate(solution, options, rng, clock, start if start is not None and start.ndim == 2 else None)
    except KeyboardInterrupt:
        solution.status = "interrupted"
    return solution


def _trivial(problem: CentredProblem) -> Solution | None:
    """Answer where every partition into k groups is optimal, or only one exists."""
    n, k = problem.n_tasks, problem.n_clusters
    if not (problem.flat or k in (1, n)):
        return None
    labels = np.minimum(np.arange(n, dtype=np.intp), k - 1)
    value = 0.0 if problem.flat or k == 1 else float(np.trace(problem.C))
    return Solution(problem, labels, value, value, value, None, 0, "certified", np.zeros((n, n)))


class _Clock:
    def __init__(self, options: SolverOptions) -> None:
        self.options = options
        self.started = time.perf_counter()

    def out_of_time(self) -> bool:
        limit = self.options.time_limit
        return limit is not None and time.perf_counter() - self.started > limit

    def report(self, solution: Solution) -> None:
        if self.options.callback is not None:
            original = solution.problem.original
            self.options.callback(solution.n_iter, original(solution.value), original(solution.bound))


class _Splitting:
    """The state of the iteration and one step of it."""

    def __init__(self, problem: CentredProblem, rng: np.random.Generator, G: Matrix, rho: float) -> None:
        n, k = problem.n_tasks, problem.n_clusters
        self.problem, self.rho, self.G = problem, rho, G
        capped = k >= CAP_FROM
        self.eigen = FilteredEigenspace(n, capped_weights if capped else simplex_weights, rng)
        self.anderson = Anderson(6, 3) if capped else Anderson(10, 5)
        self.eigen.seed(self._tilted(), k + 9)
        self.primal_residual = self.dual_residual = 1.0
        self.factor = np.zeros((n, 1))
        self.lowest = 0.0

    def _tilted(self) -> Matrix:
        W = np.abs(self.G)
        W += self.problem.C / self.rho
        return np.asarray(W)

    def step(self, adapt: bool, measure: bool) -> None:
        """One step: spectral projection, then the state update, then acceleration."""
        k, n = self.problem.n_clusters, self.problem.n_tasks
        tolerance = max(1e-9, min(1e-2, 0.1 * self.primal_residual))
        x, Q = self.eigen.top(self._tilted(), k - 1.0, tolerance)
        self.factor = Q * np.sqrt(x)
        X = self.factor @ self.factor.T
        X += 1.0 / n
        Z = np.maximum(self.G, 0.0)
        image = np.minimum(self.G, 0.0)
        image += OVER_RELAXATION * X
        image += (1.0 - OVER_RELAXATION) * Z
        if measure:
            self._measure(X, Z, image)
        factor = self._penalty_factor() if adapt and measure else 1.0
        if factor != 1.0:
            self.rho *= factor
            image[image < 0] /= factor
            self.anderson.restart()
            self.G = image
        else:
            self.G = self.anderson.advance(self.G, image)

    def _measure(self, X: Matrix, Z: Matrix, image: Matrix) -> None:
        self.lowest = float(X.min())
        new = np.maximum(image, 0.0)
        dual = self.rho * float(np.linalg.norm(image - new))
        self.dual_residual = self.rho * float(np.linalg.norm(new - Z)) / max(1.0, dual)
        np.subtract(X, new, out=new)
        self.primal_residual = float(np.linalg.norm(new)) / np.sqrt(self.problem.n_clusters)

    def _penalty_factor(self) -> float:
        if self.primal_residual > 3.0 * self.dual_residual and self.primal_residual > 1e-12:
            return 1.25
        return 0.8 if self.dual_residual > 3.0 * self.primal_residual else 1.0

    def dual(self) -> Matrix:
        """Y >= 0 of the last point that is not a mere extrapolation."""
        safe = self.anderson.safe_point
        return np.asarray(self.rho * np.maximum(-(self.G if safe is None else safe), 0.0))

    def feasible_value(self) -> float:
        """<C, X> of the last X, mixed with the interior point just enough to make its entries non-negative.

        The interior point is ee'/n + (k - 1)/(n - 1) J, whose smallest entry is (n - k) / (n (n - 1)).
        """
        n, k, C = self.problem.n_tasks, self.problem.n_clusters, self.problem.C
        short, interior = max(-self.lowest, 0.0), (n - k) / (n * (n - 1.0))
        share = short / (short + interior)
        value = float(np.vdot(C @ self.factor, self.factor))
        return (1.0 - share) * value + share * (k - 1) / (n - 1.0) * float(np.trace(C))


def _iterate(
    solution: Solution, options: SolverOptions, rng: np.random.Generator, clock: _Clock, start: Matrix | None
) -> None:
    problem, tol = solution.problem, options.tol
    splitting = _Splitting(problem, rng, *_initial_state(solution, start))
    next_check = 10
    for iteration in range(1, options.max_iter + 1):
        check = iteration >= next_check or iteration == options.max_iter or clock.out_of_time()
        splitting.step(adapt=iteration <= ADAPT_UNTIL, measure=check or iteration % 5 == 0)
        if not check:
            continue
        solution.n_iter = iteration
        solution.factor = splitting.factor
        solution.sdp_value = max(solution.sdp_value, splitting.feasible_value())
        if next_check in ROUND_AT or iteration % 100 == 0 or solution.sdp_gap <= tol:
            _round(solution, splitting.factor, rng)
        Y = splitting.dual()
        slack = 0.3 * tol * max(abs(solution.value), 1e-12)
        basis = splitting.factor if splitting.eigen.block is None else splitting.eigen.block
        solution.offer_bound(Certificate(bound_of(problem, Y, basis, slack), Y))
        clock.report(solution)
        solution.status = _status(solution, tol, clock)
        if solution.status != "max_iter":
            return
        next_check = iteration + max(10, int(0.15 * iteration) // 5 * 5)


def _status(solution: Solution, tol: float, clock: _Clock) -> str:
    if solution.gap <= tol:
        return "certified"
    if solution.sdp_gap <= tol:
        return "solved"
    return "time_limit" if clock.out_of_time() else "max_iter"


def _initial_state(solution: Solution, start: Matrix | None) -> tuple[Matrix, float]:
    """G and rho from a given X, from the proposed partition and its dual, or flat."""
    n, rho = len(solution.labels), 2.0
    if start is not None:
        return np.array(start, dtype=np.float64), rho
    if solution.Y is not None and solution.gap < START_GAP:
        return partition_matrix(solution.labels) - solution.Y / rho, rho
    return np.full((n, n), 1.0 / n), rho


def _round(solution: Solution, factor: Matrix, rng: np.random.Generator) -> None:
    """Offer the partitions that the rows of X suggest; X = ee'/n + FF', so rows of F will do."""
    problem = solution.problem
    k = problem.n_clusters
    values = np.einsum("ij,ij->j", factor, factor)
    vectors = factor / np.sqrt(np.maximum(values, 1e-300))
    starts = spectral_starts((values, vectors), k, rng, restarts=1)
    starts.append(kmeans_rows(factor, k, rng=rng, n_init=1))
    solution.offer_partition(*best_of(problem.C, starts, k))
