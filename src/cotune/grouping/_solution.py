"""When the solver stops, and what it knows about one problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cotune.grouping._partition import Labels, Matrix, partition_matrix
from cotune.grouping._problem import CentredProblem
from cotune.grouping.certificate import Certificate

Progress = Callable[[int, float, float], object]
"""Called with the iteration, the objective of the best partition and the upper bound, in the units of T."""


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
    exact_max : int
        Up to this many tasks, a partition that is not proven is replaced by the exact optimum.
    """

    tol: float = 1e-5
    max_iter: int = 5000
    time_limit: float | None = None
    callback: Progress | None = None
    exact_max: int = 0


@dataclass
class Solution:
    """The best known about one problem, in centred units.

    ``bound`` holds for every feasible X of Eq. 5, ``partition_bound`` for every partition; they
    differ only after an exact search. ``status`` is one of ``"certified"`` (partition and bound meet),
    ``"solved"`` (the relaxation is solved to the tolerance and is not tight, or the partition found is
    not its best), ``"max_iter"`` and ``"time_limit"``.
    """

    problem: CentredProblem
    labels: Labels
    value: float
    bound: float = np.inf
    partition_bound: float = np.inf
    sdp_value: float | None = None
    infeasibility: float = 0.0
    factor: Matrix | None = None
    n_iter: int = 0
    status: str = "max_iter"
    Y: Matrix | None = field(default=None, repr=False)

    @property
    def gap(self) -> float:
        """How far the partition may be from the best one, relative to :attr:`unit`."""
        return max(min(self.bound, self.partition_bound) - self.value, 0.0) / self.unit

    @property
    def sdp_gap(self) -> float:
        """How far the value of X is from the bound, relative to :attr:`unit`."""
        return abs(self.bound - (self.value if self.sdp_value is None else self.sdp_value)) / self.unit

    @property
    def unit(self) -> float:
        """The larger of the absolute values of the partition and of X."""
        return max(abs(self.value), abs(self.sdp_value or 0.0), 1e-12)

    @property
    def X(self) -> Matrix:
        """The last X, shape (n, n), or that of the partition when nothing was iterated."""
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
