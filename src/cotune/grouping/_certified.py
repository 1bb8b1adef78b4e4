"""The certified grouping of Procedure 1: k, the relaxation, its proof, and the partition that is returned.

Without scikit-learn, which takes longer to load than most tables take to group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from cotune.exceptions import InputError
from cotune.grouping._base import BaseGrouping
from cotune.grouping._partition import Labels, Matrix, density_sum, first_appearance, objective, symmetrised
from cotune.grouping._problem import CentredProblem
from cotune.grouping._solution import Progress, Solution, SolverOptions
from cotune.grouping._validation import check_labels, check_square, check_weights
from cotune.grouping.evidence import likelihood_partition
from cotune.grouping.exact import MAX_TASKS
from cotune.grouping.number_of_groups import KPath
from cotune.grouping.rounding import ROUNDINGS, THRESHOLDS, round_solution
from cotune.grouping.sdp import solve
from cotune.grouping.shrinkage import Shrunk, shrink

DECISIVE = 10.0
"""Twice the log of the ratio of evidences from which one partition is taken for another; "very strong"."""

PARTITIONS = ("auto", "density", "likelihood")


class CertifiedGrouping(BaseGrouping):
    """What :class:`SDPClustering` does, with all its parameters and attributes, without scikit-learn."""

    affinity_matrix_: Matrix
    shrinkage_: Shrunk | None
    partition_: str
    density_labels_: Labels
    density_objective_: float
    density_gap_: float
    density_certified_: bool

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        affinity: str = "precomputed",
        k_max: int | None = None,
        k_rule: str | None = None,
        tol: float = 1e-5,
        max_iter: int = 5000,
        time_limit: float | None = None,
        exact_max: int = 15,
        rounding: str = "best",
        rounding_c: float = 1.0,
        partition: str = "auto",
        warm_start: ArrayLike | bool | None = None,
        callback: Progress | None = None,
        k_callback: Callable[[int, float], object] | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.affinity = affinity
        self.k_max = k_max
        self.k_rule = k_rule
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.exact_max = exact_max
        self.rounding = rounding
        self.rounding_c = rounding_c
        self.partition = partition
        self.warm_start = warm_start
        self.callback = callback
        self.k_callback = k_callback
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None, *, weights: ArrayLike | None = None) -> Self:
        """Group the tasks.

        Parameters
        ----------
        X : array-like of shape (n, n), or (n, d) when ``affinity`` is not "precomputed"
            Task affinities T, finite; T_uv is the effect of training with v on task u.
        y : ignored
            For the scikit-learn interface.
        weights : array-like of shape (n, n), optional
            How much each entry is worth beside the others: 1 / variance, or the number of measurements
            behind it; 0 where there is none. The evidence weighs entries so; densities are those of entries
            drawn towards the effects of their tasks by as much as their noise makes them uncertain,
            ``affinity_matrix_``.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        InputError
            If X is not a finite square matrix or a parameter is out of range.
        """
        self._check_options()
        T = self._read(X)
        rng = self._generator()
        precision = None if weights is None else check_weights(weights, len(T))
        k, path = self._resolve_k(T, rng, precision)
        self.shrinkage_ = None if weights is None else shrink(T, weights)
        D = T if self.shrinkage_ is None else self.shrinkage_.matrix
        self.affinity_matrix_ = D
        problem = CentredProblem.from_affinity(D, k)
        start = self._start(len(T), k)
        if start is None and path is not None:
            start = path.labels[k]
        options = SolverOptions(self.tol, self.max_iter, self.time_limit, self.callback, self.exact_max)
        solution = solve(problem, options, rng, start)
        self._keep(solution)
        if 1 < k < len(T):
            self._offer_likelihood(T, solution, path, precision)
        return self

    def _offer_likelihood(
        self, T: Matrix, solution: Solution, path: KPath | None, weights: Matrix | None
    ) -> None:
        """Take the partition of the largest likelihood where it is asked for, or much more likely."""
        by_evidence = path is not None and "evidence" in path.chosen and self.rounding == "best"
        if self.partition == "density" or (self.partition == "auto" and not by_evidence):
            return
        S = symmetrised(T)
        if path is not None and path.precision is not None:
            weights = path.precision
        before, cost, labels = likelihood_partition(S, self.density_labels_, weights=weights)
        if path is not None and by_evidence:
            start = path.labels[solution.problem.n_clusters]
            _, other, found = likelihood_partition(S, start, weights=weights)
            if other < cost:
                cost, labels = other, found
        if before - cost > (DECISIVE if self.partition == "auto" else 0.0):
            self._take(solution, labels)
            self.partition_ = "likelihood"

    def _choosing(self, k: int, summed_density: float) -> None:
        if self.k_callback is not None:
            self.k_callback(k, summed_density)

    def _check_options(self) -> None:
        name = type(self).__name__
        if self.rounding != "best" and self.rounding not in ROUNDINGS:
            raise InputError(
                f"The 'rounding' parameter of {name} must be one of {['best', *ROUNDINGS]}, "
                f"got {self.rounding!r} instead."
            )
        if self.rounding not in THRESHOLDS and self.rounding_c != 1.0:
            raise InputError(
                f"The 'rounding_c' parameter of {name} is of the roundings {' and '.join(THRESHOLDS)}, "
                f"got {self.rounding_c!r} with {self.rounding!r}."
            )
        if not self.rounding_c >= 1.0:
            raise InputError(
                f"The 'rounding_c' parameter of {name} must be at least 1, got {self.rounding_c!r} instead."
            )
        if self.partition not in PARTITIONS:
            raise InputError(
                f"The 'partition' parameter of {name} must be one of {list(PARTITIONS)}, "
                f"got {self.partition!r} instead."
            )
        if not self.tol > 0:
            raise InputError(f"The 'tol' parameter of {name} must be positive, got {self.tol!r} instead.")
        if not 0 <= self.exact_max <= MAX_TASKS:
            raise InputError(
                f"The 'exact_max' parameter of {name} must be from 0 to {MAX_TASKS}, "
                f"got {self.exact_max!r} instead."
            )
        if self.max_iter < 1:
            raise InputError(
                f"The 'max_iter' parameter of {name} must be at least 1, got {self.max_iter!r} instead."
            )

    def _start(self, n: int, k: int) -> Matrix | Labels | None:
        """Return the warm start as labels with exactly k groups or as an X, or None when it cannot help."""
        if self.warm_start is None or self.warm_start is False:
            return None
        if np.ndim(self.warm_start) == 2:
            X = check_square(self.warm_start, "The warm start")
            if len(X) != n:
                raise InputError(f"warm_start must have shape ({n},) or ({n}, {n}), got {X.shape} instead.")
            return X
        labels = first_appearance(check_labels(self.warm_start, n))
        return labels if int(labels.max()) + 1 == k else None

    def _keep(self, solution: Solution) -> None:
        problem = solution.problem
        labels = solution.labels
        self.X_ = solution.X
        if self.rounding != "best":
            labels = round_solution(self.X_, problem.n_clusters, self.rounding, c=self.rounding_c)
        sdp_value = solution.value if solution.sdp_value is None else solution.sdp_value
        self.sdp_value_ = problem.original(sdp_value)
        self.sdp_bound_ = problem.original(solution.bound)
        self.sdp_gap_ = solution.sdp_gap
        self.status_ = solution.status
        self.n_iter_ = solution.n_iter
        self._take(solution, labels)
        self.partition_ = "density"
        self.density_labels_, self.density_objective_ = self.labels_, self.objective_
        self.density_gap_, self.density_certified_ = self.gap_, self.certified_

    def _take(self, solution: Solution, labels: Labels) -> None:
        """Make these the groups, with what the bound says of them."""
        problem = solution.problem
        self.labels_ = labels = first_appearance(labels)
        self.n_clusters_ = int(labels.max()) + 1
        self.objective_ = objective(self.affinity_matrix_, labels)
        self.upper_bound_ = problem.original(min(solution.bound, solution.partition_bound))
        # On the scale of T the two are rounded differently; a bound below what it bounds would be wrong.
        self.upper_bound_ = max(self.upper_bound_, problem.original(solution.value))
        if self.n_clusters_ == problem.n_clusters:
            self.upper_bound_ = max(self.upper_bound_, self.objective_)
        same = np.array_equal(labels, first_appearance(solution.labels))
        short = solution.value if same else density_sum(problem.C, labels, self.n_clusters_)
        self.gap_ = solution.gap + (solution.value - short) / solution.unit
        self.certified_ = bool(self.gap_ <= self.tol and self.n_clusters_ == problem.n_clusters)
