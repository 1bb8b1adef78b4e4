"""Solve the relaxation of Eq. 5 and prove how good the groups are (step 1 of Procedure 1).

Eq. 5 maximises <T, X> subject to Xe = e, tr X = k, X >= 0, X positive semidefinite. A partition is
proposed and, where the groups are clear, proven at once. Otherwise the splitting of
:mod:`cotune.grouping.splitting` is iterated; every dual iterate gives a bound, and the iteration stops when
partition and bound meet or Eq. 5 is solved.
"""

from __future__ import annotations

import time

import numpy as np

from cotune.grouping._partition import Labels, Matrix, density_sum, partition_matrix
from cotune.grouping._problem import CentredProblem, relative_gap
from cotune.grouping._solution import Solution, SolverOptions
from cotune.grouping.bounds import ritz_estimate
from cotune.grouping.certificate import Certificate, DualForm, bound_of, certify
from cotune.grouping.exact import exact_partitions
from cotune.grouping.local_search import best_of
from cotune.grouping.propose import propose, spectral_embedding, spectral_starts
from cotune.grouping.rounding import kmeans_rows, random_partition
from cotune.grouping.splitting import Splitting

WARM_PENALTY, COLD_PENALTY = 4.0, 7.0
"""Initial penalties, for a start near a solution and for a flat one."""

ADAPT_UNTIL = 100
FIRST_CHECK = 10
ROUND_AT = frozenset({20, 60})
KMEANS_STARTS, FINAL_STARTS = 3, 4
RANDOM_STARTS, RANDOM_STARTS_UP_TO = 8, 60
START_GAP = 0.1
"""A closed-form dual within this gap is a better start of the iteration than a flat X."""


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
        The best partition found, with its bound.
    """
    n, k = problem.n_tasks, problem.n_clusters
    clock = _Clock(options)
    if problem.flat or k in (1, n):
        return _trivial(problem)
    given = [np.asarray(start, dtype=np.intp)] if start is not None and start.ndim == 1 else []
    first = given[0] if given else np.minimum(np.arange(n, dtype=np.intp), k - 1)
    solution = Solution(problem, first, density_sum(problem.C, first, k))
    _propose(solution, options, rng, given)
    clock.report(solution)
    solution.status = _status(solution, options.tol, clock)
    if solution.status == "max_iter":
        _iterate(solution, options, rng, clock, start if start is not None and start.ndim == 2 else None)
    if solution.status != "certified" and n <= options.exact_max:
        _settle(solution)
    return solution


def _propose(
    solution: Solution, options: SolverOptions, rng: np.random.Generator, given: list[Labels]
) -> None:
    """Offer a partition with its bound; look further, also from random starts, when that leaves a gap."""
    problem = solution.problem
    n, k = problem.n_tasks, problem.n_clusters
    embedding = spectral_embedding(problem.C, k - 1, rng)
    solution.offer_partition(*propose(problem.C, k, rng, embedding=embedding, restarts=0, extra=given))
    form = DualForm(problem.C, solution.labels, k)
    if form.admissible:
        solution.offer_bound(certify(problem, form, solution.value, options.tol))
        if solution.gap <= options.tol:
            return
    proposed = solution.labels
    starts = spectral_starts(embedding, k, rng, pivoted=False, restarts=KMEANS_STARTS)
    if n <= RANDOM_STARTS_UP_TO:
        starts += [random_partition(n, k, rng) for _ in range(RANDOM_STARTS)]
    solution.offer_partition(*best_of(problem.C, starts, k))
    if solution.labels is not proposed:
        form = DualForm(problem.C, solution.labels, k)
    elif form.admissible:
        return
    solution.offer_bound(certify(problem, form, solution.value, options.tol))


def _trivial(problem: CentredProblem) -> Solution:
    """Answer where every partition into k groups is optimal, or only one exists."""
    n, k = problem.n_tasks, problem.n_clusters
    labels = np.minimum(np.arange(n, dtype=np.intp), k - 1)
    value = 0.0 if problem.flat or k == 1 else float(np.trace(problem.C))
    return Solution(problem, labels, value, bound=value, partition_bound=value, status="certified")


def _settle(solution: Solution) -> None:
    """Replace the partition by the exact optimum, which is its own bound."""
    best = exact_partitions(solution.problem.C, solution.problem.n_clusters)[solution.problem.n_clusters]
    solution.offer_partition(best.objective, best.labels)
    solution.partition_bound = max(best.objective, solution.value)
    solution.status = "certified"


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


def _iterate(
    solution: Solution, options: SolverOptions, rng: np.random.Generator, clock: _Clock, start: Matrix | None
) -> None:
    splitting = Splitting(solution.problem, rng, *_initial_state(solution, start))
    prover = _Prover(solution, options.tol)
    next_check = FIRST_CHECK
    for iteration in range(1, options.max_iter + 1):
        last = iteration == options.max_iter or clock.out_of_time()
        check = iteration >= next_check or last
        splitting.step(adapt=iteration <= ADAPT_UNTIL, measure=check or iteration % 5 == 0)
        if not check:
            continue
        solution.n_iter = iteration
        solution.factor = splitting.factor
        solution.sdp_value, solution.infeasibility = splitting.value(), max(-splitting.lowest, 0.0)
        rounding_due = iteration in ROUND_AT or iteration % 100 == 0 or last
        if rounding_due:
            _round(solution, splitting.factor, rng)
        prover.improve_bound(splitting, thorough=last)
        if not rounding_due and _status(solution, options.tol, clock) == "solved":
            _round(solution, splitting.factor, rng, FINAL_STARTS)  # no later X will say more
        clock.report(solution)
        solution.status = _status(solution, options.tol, clock)
        if solution.status == "certified":
            solution.factor = solution.sdp_value = None  # the proven partition is the better X
        if solution.status != "max_iter":
            return
        next_check = iteration + max(5, iteration // 10 // 5 * 5)


class _Prover:
    """Turns dual iterates into bounds, spending on them only when they can matter."""

    def __init__(self, solution: Solution, tol: float) -> None:
        self.solution, self.tol = solution, tol
        self.checks = 0
        self._form: DualForm | None = None
        self._form_labels: Labels | None = None

    def improve_bound(self, splitting: Splitting, thorough: bool) -> None:
        """Offer the bound of the current dual, and of its projection onto the form of a tight dual."""
        solution, problem = self.solution, self.solution.problem
        self.checks += 1
        Y, basis = splitting.dual(), splitting.leading_vectors()
        slack = 0.1 * self.tol * solution.unit
        estimate = ritz_estimate(problem.C, Y, problem.n_clusters, basis)
        closest = max(solution.value, solution.sdp_value or -np.inf)
        if thorough or self.checks % 5 == 0 or relative_gap(estimate, closest) <= self.tol:
            solution.offer_bound(Certificate(bound_of(problem, Y, basis, slack), Y))
        if solution.gap > self.tol and relative_gap(estimate, solution.value) < START_GAP:
            self._restore(Y, (estimate - float(Y.sum()) / len(Y)) / (problem.n_clusters - 1), slack)

    def _restore(self, Y: Matrix, z: float, slack: float) -> None:
        """Give Y exactly the sums that a tight dual has at the best partition, when such sums exist."""
        solution = self.solution
        if self._form is None or self._form_labels is not solution.labels:
            self._form = DualForm(solution.problem.C, solution.labels, solution.problem.n_clusters)
            self._form_labels = solution.labels
        lower, upper = self._form.limits
        if lower > upper:
            return
        restored = self._form.matrix(min(max(z, lower), upper), 0.1 * self.tol, target=Y)
        solution.offer_bound(Certificate(bound_of(solution.problem, restored, self._form.V, slack), restored))


def _status(solution: Solution, tol: float, clock: _Clock) -> str:
    if solution.gap <= tol:
        return "certified"
    if solution.sdp_value is not None and solution.sdp_gap <= tol and solution.infeasibility <= tol:
        return "solved"
    return "time_limit" if clock.out_of_time() else "max_iter"


def _initial_state(solution: Solution, start: Matrix | None) -> tuple[Matrix, float]:
    """G and rho from a given X, from the proposed partition and its dual, or flat."""
    n = len(solution.labels)
    if start is not None:
        return np.array(start, dtype=np.float64), WARM_PENALTY
    if solution.Y is not None and solution.gap < START_GAP:
        return partition_matrix(solution.labels) - solution.Y / WARM_PENALTY, WARM_PENALTY
    return np.full((n, n), 1.0 / n), COLD_PENALTY


def _round(solution: Solution, factor: Matrix, rng: np.random.Generator, restarts: int = 1) -> None:
    """Offer the partitions that the rows of X suggest; X = ee'/n + FF', so rows of F will do."""
    k = solution.problem.n_clusters
    values = np.einsum("ij,ij->j", factor, factor)
    vectors = factor / np.sqrt(np.maximum(values, 1e-300))
    starts = spectral_starts((values, vectors), k, rng, pivoted=True, restarts=restarts)
    starts.append(kmeans_rows(factor, k, rng=rng, n_init=1))
    solution.offer_partition(*best_of(solution.problem.C, starts, k))
