"""A dual matrix for a proposed partition, without iterating on the SDP: a proof when the groups are clear.

Complementary slackness says what a dual optimum Y >= 0 looks like when a partition solves Eq. 5. It vanishes
inside the groups, and over every other group b the row of a task i in group a sums to

    u_i^b = m_b alpha_i + A_b - r_i^b,  alpha_i = (r_i^a - z - A_a) / m_a,  A_a = (t_a / m_a - z) / 2,

with m the sizes of the groups, r_i^b the affinity of task i to group b, t_a the sum of C inside a, and z the
multiplier of the trace. With these sums the indicators of the groups are eigenvectors of J(C + Y)J with
eigenvalue z, and the bound equals the objective of the partition if no other eigenvalue exceeds z. Hence two
limits on z: not below the largest eigenvalue of a centred diagonal block of C, where Y cannot help, and not
above the point where a u_i^b turns negative. When the second is below the first, the relaxation is not tight
at this partition.

Among the matrices with these sums, the one nearest to -C leaves the least of C between the groups. It is
max(-C_ij + p_i^b + p_j^a, 0), and its p are found block by block, without any eigendecomposition.
The form of the sums is that of Iguchi, Mixon, Peterson and Villar, "Probably certifiably correct k-means
clustering" (2017); choosing Y by projection is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh

from cotune.grouping._partition import Labels, Matrix, indicator
from cotune.grouping._problem import CentredProblem, centre, relative_gap
from cotune.grouping.bounds import cholesky_bound, eigenvalue_bound

POSITIONS = (0.95, 0.5)
"""Where in the interval of admissible z to try, in turn."""

NOT_TIGHT_POSITION = 0.1
"""Where between the two limits when their order is reversed and no z is admissible."""

PASSES, LOOSE_PASSES = 30, 10
"""Most passes over a block; the second where no z is admissible and the matrix only starts the iteration."""

STEP, MOMENTUM = 0.75, 0.08
"""Both ends of a block move at once, each by this share of its own full step and of its last one."""

TRIDIAGONAL_BELOW = 60
"""Below this many tasks eigenvalues are computed; above, one Cholesky factorisation is cheaper."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """An upper bound on <C, X> and the dual matrix Y >= 0, shape (n, n), that gives it."""

    bound: float
    Y: Matrix


def certify(problem: CentredProblem, form: DualForm, value: float, tol: float) -> Certificate:
    """Return the best bound among a few dual matrices with the sums that slackness asks for.

    Parameters
    ----------
    problem : CentredProblem
        The affinities and k.
    form : DualForm
        Of the partition to certify, with k >= 2 groups.
    value : float
        Its <C, X>.
    tol : float
        Stop at the first bound within this relative gap of ``value``.

    Returns
    -------
    Certificate
        Always valid; tight only where the groups are clear.
    """
    if not form.admissible:
        # The bound cannot close: a rough matrix starts the iteration as well, and only eigenvalues bound it.
        Y = form.matrix(form.between(NOT_TIGHT_POSITION), 1e-2, passes=LOOSE_PASSES)
        return Certificate(eigenvalue_bound(problem.C, Y, problem.n_clusters), Y)
    slack = 0.1 * tol * max(abs(value), 1e-12)
    best: Certificate | None = None
    for position in POSITIONS:
        Y = form.matrix(form.between(position), min(1e-3, 0.1 * tol))
        bound = bound_of(problem, Y, form.V, slack)
        if best is None or bound < best.bound:
            best = Certificate(bound, Y)
        if relative_gap(best.bound, value) <= tol:
            break
    assert best is not None
    return best


def bound_of(problem: CentredProblem, Y: Matrix, basis: Matrix, slack: float) -> float:
    """Return a valid bound from Y by the cheaper factorisation, or by eigenvalues where that one fails.

    ``basis`` of shape (n, m) should span the leading eigenvectors.
    """
    if problem.n_tasks > TRIDIAGONAL_BELOW:
        bound = cholesky_bound(problem.C, Y, problem.n_clusters, basis, slack)
        if np.isfinite(bound):
            return bound
    return eigenvalue_bound(problem.C, Y, problem.n_clusters)


class DualForm:
    """The sums of a partition and the projection onto the matrices that have the right ones.

    Tasks are sorted by group, so that every block is a slice; the results are in the original order.
    """

    def __init__(self, C: Matrix, labels: Labels, n_clusters: int) -> None:
        self.order = np.argsort(labels, kind="stable")
        self.labels = labels[self.order]
        self.size = np.bincount(labels, minlength=n_clusters).astype(float)
        self.end = np.cumsum(self.size).astype(int)
        self.start = self.end - self.size.astype(int)
        self.V = indicator(labels, n_clusters)
        self.C = C[np.ix_(self.order, self.order)]
        self.R = np.add.reduceat(self.C, self.start, axis=1)
        self.inside = np.add.reduceat(self.R, self.start, axis=0).diagonal()

    def sums(self, z: float) -> Matrix:
        """u_i^b for every task (in sorted order) and group, shape (n, k), zero for its own group."""
        own = np.arange(len(self.labels)), self.labels
        A = (self.inside / self.size - z) / 2.0
        alpha = (self.R[own] - z - A[self.labels]) / self.size[self.labels]
        U = alpha[:, None] * self.size + A - self.R
        U[own] = 0.0
        return np.asarray(U)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Smallest z that the diagonal blocks allow and largest z for which all sums are non-negative."""
        lower = 0.0
        for start, end in zip(self.start, self.end, strict=True):
            if end - start > 1:
                lower = max(lower, _largest_eigenvalue(centre(self.C[start:end, start:end])))
        at_zero, at_one = self.sums(0.0), self.sums(1.0)
        slope = at_zero - at_one  # (1 + m_b / m_a) / 2 for a task of group a: sums fall linearly in z
        other = self.labels[:, None] != np.arange(len(self.size))
        upper = float(np.min(at_zero[other] / slope[other]))
        return lower, upper

    @property
    def admissible(self) -> bool:
        """Whether some z satisfies both limits; otherwise Eq. 5 has a better X than this partition's."""
        lower, upper = self.limits
        return lower <= upper

    def between(self, position: float) -> float:
        """Return the z at a position between the limits, 0 for the lower and 1 for the upper one."""
        lower, upper = self.limits
        return lower + position * (upper - lower)

    def matrix(
        self, z: float, accuracy: float, target: Matrix | None = None, *, passes: int = PASSES
    ) -> Matrix:
        """Return the Y >= 0 with the sums of z that is nearest to a target.

        Parameters
        ----------
        z : float
            The multiplier of the trace; where it makes sums negative, zeros replace them.
        accuracy : float
            Largest error of a sum, relative to the largest sum.
        target : ndarray of shape (n, n), optional
            -C unless given, which cancels the noise between groups; or a symmetric iterate Y of the solver.
        passes : int
            Most passes over a block.

        Returns
        -------
        ndarray of shape (n, n)
            Symmetric, non-negative, zero inside the groups.
        """
        goal = -self.C if target is None else target[np.ix_(self.order, self.order)]
        U = np.maximum(self.sums(z), 0.0)
        tolerance = accuracy * float(U.max())
        n = len(self.labels)
        sorted_Y = np.zeros((n, n))
        for group in range(len(self.size) - 1):
            self._fill_strip(sorted_Y, goal, U, group, tolerance, passes)
        sorted_Y += sorted_Y.T
        Y = np.empty((n, n))
        Y[np.ix_(self.order, self.order)] = sorted_Y
        return Y

    def _fill_strip(
        self, Y: Matrix, goal: Matrix, U: Matrix, group: int, tolerance: float, passes: int
    ) -> None:
        """Project the blocks between one group and all later ones, which share no unknown with any other."""
        rows, columns = slice(self.start[group], self.end[group]), slice(self.end[group], None)
        target = goal[rows, columns]
        later = self.size[group + 1 :]
        members = self.V[self.order[columns], group + 1 :]
        spread = self.labels[columns] - (group + 1)
        row_sums, column_sums = U[rows, group + 1 :], U[columns, group]
        height = self.size[group]
        # Without clipping the answer is explicit: match the means of rows, of columns and of the block.
        row_gap = (row_sums - target @ members) / later
        column_gap = (column_sums - np.add.reduce(target, axis=0)) / height
        shared = np.add.reduce(row_gap, axis=0) / (2.0 * height)
        p, q = row_gap - shared, column_gap - shared[spread]
        row_step, column_step = np.zeros_like(p), np.zeros_like(q)
        positive = np.empty_like(target)
        for _ in range(passes):
            block = target + p.take(spread, axis=1)
            block += q
            np.maximum(block, 0.0, out=block)
            row_error = row_sums - block @ members
            column_error = column_sums - np.add.reduce(block, axis=0)
            error = max(float(np.abs(row_error).max()), float(np.abs(column_error).max()))
            if error <= tolerance:
                break
            np.sign(block, out=positive)  # as floats, so that the counts are products, too
            row_step *= MOMENTUM
            row_step += STEP * row_error / np.maximum(positive @ members, 1.0)
            column_step *= MOMENTUM
            column_step += STEP * column_error / np.maximum(np.add.reduce(positive, axis=0), 1.0)
            p += row_step
            q += column_step
        Y[rows, columns] = block


def _largest_eigenvalue(A: Matrix) -> float:
    last = len(A) - 1
    return float(
        eigh(A, eigvals_only=True, subset_by_index=[last, last], driver="evr", check_finite=False)[0]
    )
