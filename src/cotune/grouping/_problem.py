"""The SDP of Eq. 5 in the centred, scaled form in which it is solved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cotune.grouping._partition import Matrix, symmetrised


def centre(A: Matrix) -> Matrix:
    """Return J A J with J = I - ee'/n for a symmetric A of shape (n, n)."""
    row = np.add.reduce(A, axis=0) / len(A)  # A.mean(axis=0) without an overhead that counts in inner loops
    centred: Matrix = A - row
    centred -= (row - np.add.reduce(row) / len(A))[:, None]
    return centred


@dataclass(frozen=True, slots=True)
class CentredProblem:
    """Eq. 5 after the changes of variable that Xe = e allows.

    For every X with Xe = e and T' = sym(T), <T', X> = offset + scale <C, X> where C = J T' J / scale has
    Frobenius norm sqrt(n). Adding r_i + r_j to T_ij moves the offset alone.

    Parameters
    ----------
    C : ndarray of shape (n, n)
        Centred, scaled affinities.
    n_clusters : int
        k, the trace of X.
    scale, offset : float
        As above, in the units of T.
    """

    C: Matrix
    n_clusters: int
    scale: float
    offset: float

    @classmethod
    def from_affinity(cls, T: Matrix, n_clusters: int) -> CentredProblem:
        """Symmetrise, centre and scale T of shape (n, n)."""
        n = len(T)
        S = symmetrised(T)
        peak = float(np.abs(S).max())
        if peak == 0.0:
            return cls(S, n_clusters, 0.0, 0.0)
        S /= peak  # squares of very large or very small entries stay in range
        offset = float(S.sum()) / n * peak
        C = centre(S)
        scale = float(np.linalg.norm(C)) / np.sqrt(n)
        # What is left of a matrix r_i + r_j after centring is rounding error, not structure.
        if scale <= 1e-13:
            return cls(np.zeros_like(C), n_clusters, 0.0, offset)
        C /= scale
        return cls(C, n_clusters, scale * peak, offset)

    @property
    def n_tasks(self) -> int:
        """Number of tasks, n."""
        return len(self.C)

    @property
    def flat(self) -> bool:
        """Whether every partition into k groups has the same objective because T_ij = r_i + r_j."""
        return self.scale == 0.0

    def with_k(self, n_clusters: int) -> CentredProblem:
        """Return the same affinities with another number of groups."""
        return CentredProblem(self.C, n_clusters, self.scale, self.offset)

    def original(self, value: float) -> float:
        """Translate a value of <C, X> to one of <sym(T), X>."""
        return self.offset + self.scale * value


def relative_gap(upper: float, lower: float) -> float:
    """(upper - lower) / |lower|, of centred values; the tiny floor is for a lower bound of exactly 0."""
    return max(upper - lower, 0.0) / max(abs(lower), 1e-12)
