"""Upper bounds on Eq. 5 that hold whatever the dual matrix they start from.

An X that is feasible for Eq. 5 has eigenvalues in [0, 1] that sum to k - 1 on the complement of e. So for
every Y >= 0, <C, X> <= <C + Y, X> <= e'Ye/n + (sum of the k - 1 largest eigenvalues of J(C + Y)J there).

Both functions add what floating-point arithmetic may have cost, so the result is a bound and not an estimate
of one. Iterative eigensolvers are not used here: one that misses a copy of a multiple eigenvalue, and the top
eigenvalue is multiple whenever the groups are clear, returns a number that is too small.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cholesky, eigh

from cotune.grouping._partition import Matrix
from cotune.grouping._problem import centre
from cotune.grouping.eigen import orthonormal

_EPS = float(np.finfo(np.float64).eps)


def _slack_of(n: int, n_clusters: int, magnitude: float) -> float:
    """Error of a sum of k - 1 eigenvalues when the matrix is perturbed by (n + 2) eps times ``magnitude``."""
    return (n_clusters - 1) * (n + 2) * _EPS * magnitude


def eigenvalue_bound(C: Matrix, Y: Matrix, n_clusters: int) -> float:
    """Upper bound by a full tridiagonalisation of J(C + Y)J.

    Parameters
    ----------
    C : ndarray of shape (n, n)
        Centred affinities.
    Y : ndarray of shape (n, n)
        Symmetric, non-negative; negative entries make the result meaningless.
    n_clusters : int
        k, from 1 to n.

    Returns
    -------
    float
        A number that <C, X> does not exceed for any feasible X.
    """
    n = len(C)
    constant = float(Y.sum()) / n
    if n_clusters == 1:
        return constant
    B = centre(C + Y)
    shift = float(np.linalg.norm(B))  # sends e below the rest of the spectrum
    values = eigh(
        B - shift / n,
        eigvals_only=True,
        subset_by_index=[n - n_clusters + 1, n - 1],
        driver="evr",
        check_finite=False,
        overwrite_a=True,
    )
    return constant + float(values.sum()) + _slack_of(n, n_clusters, 4.0 * shift)


def ritz_estimate(C: Matrix, Y: Matrix, n_clusters: int, basis: Matrix) -> float:
    """Estimate the bound of Y from below, cheaply: when this is too high, the bound is.

    Parameters
    ----------
    C, Y, n_clusters
        As in :func:`eigenvalue_bound`.
    basis : ndarray of shape (n, m)
        Approximate leading eigenvectors.

    Returns
    -------
    float
        e'Ye/n plus the k - 1 largest Ritz values; never above the bound but for rounding.
    """
    Q = orthonormal(basis)
    values = np.linalg.eigvalsh(Q.T @ (C @ Q) + Q.T @ (Y @ Q))
    return float(Y.sum()) / len(C) + float(values[1 - n_clusters :].sum())


def cholesky_bound(C: Matrix, Y: Matrix, n_clusters: int, basis: Matrix, slack: float) -> float:
    """Upper bound by one Cholesky factorisation, several times cheaper than eigenvalues when n is large.

    With Ritz pairs (w_i, q_i) of B = J(C + Y)J and any mu: if mu I + sum_i (w_i - mu)+ q_i q_i' - B is
    positive semidefinite, the k - 1 largest eigenvalues of B sum to at most (k - 1) mu + sum_i (w_i - mu)+.

    Parameters
    ----------
    C, Y, n_clusters
        As in :func:`eigenvalue_bound`.
    basis : ndarray of shape (n, m)
        Spans an approximation of the leading eigenvectors; the bound is valid for any, tight for a good one.
    slack : float
        How far above the sum of Ritz values the bound may lie at the first attempt.

    Returns
    -------
    float
        A valid bound, or infinity when neither this slack nor five times as much made it positive definite.
    """
    n = len(C)
    constant = float(Y.sum()) / n
    if n_clusters == 1:
        return constant
    B = centre(C + Y)
    Q = orthonormal(basis)
    values, rotation = np.linalg.eigh(Q.T @ (B @ Q))
    top = min(n_clusters - 1, len(values))
    Q, values = Q @ rotation[:, -top:], values[-top:]
    level = float(values[0])
    margin = slack / (n_clusters - 1)
    size = float(np.linalg.norm(B))
    np.negative(B, out=B)
    for _ in range(2):
        lift = np.maximum(values - level, 0.0)
        M = B + (Q * lift) @ Q.T
        M += (abs(level) + 1.0) / n
        M.flat[:: n + 1] += level + margin
        # |R'||R| has the trace of M = R'R, which bounds the backward error of a Cholesky factorisation.
        rounding = _slack_of(n, n_clusters, float(np.trace(M)) + 4.0 * size)
        try:
            cholesky(M, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            margin *= 5.0
            continue
        return constant + (n_clusters - 1) * (level + margin) + float(lift.sum()) + rounding
    return np.inf
