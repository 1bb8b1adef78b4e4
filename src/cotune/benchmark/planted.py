"""Affinity matrices with known groups: the planted model of App. B.1 and block models of any size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune.exceptions import InputError

FIG2_MEANS = np.array([[12.0, 8.0, 7.0], [8.0, 14.0, 13.0], [7.0, 13.0, 14.0]])
"""alpha on the diagonal and beta off it (App. B.1): one low-density and two high-density clusters."""

FIG2_DEVIATIONS = np.array([[4.0, 4.0, 4.0], [4.0, 2.0, 2.0], [4.0, 2.0, 2.0]])
"""sigma of the blocks (App. B.1)."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A matrix and the groups it was drawn from.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        Affinities T; NaN where missing.
    labels : ndarray of shape (n,)
        The planted groups, 0 to k - 1 in task order.
    """

    matrix: NDArray[np.float64]
    labels: NDArray[np.intp]

    @property
    def n_clusters(self) -> int:
        """Number of planted groups."""
        return int(self.labels.max()) + 1


def fig2(seed: int, n: int = 150, *, mirrored: bool = False) -> Planted:
    """Draw the model of Fig. 2 and App. B.1: three equal clusters of different density.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    n : int
        Number of tasks, at least 3; 150 in the paper. The first clusters take what does not divide by 3.
    mirrored : bool
        Whether the upper triangle is copied to the lower one. Otherwise all entries are independent, and
        symmetrising averages two of them, which halves the variance of the noise.

    Returns
    -------
    Planted
        Matrix of shape (n, n) and labels.

    Raises
    ------
    InputError
        If n < 3.
    """
    if n < 3:
        raise InputError(f"The planted model of Fig. 2 has three clusters and needs n >= 3 tasks, got {n}.")
    labels = np.repeat(np.arange(3), [n // 3 + (i < n % 3) for i in range(3)])
    noise = np.random.default_rng(seed).standard_normal((n, n))
    T = FIG2_MEANS[labels][:, labels] + FIG2_DEVIATIONS[labels][:, labels] * noise
    if mirrored:
        T = np.triu(T) + np.triu(T, 1).T
    return Planted(T, labels.astype(np.intp))


def block_model(
    seed: int,
    n: int,
    k: int,
    *,
    snr: float = 2.0,
    balance: float = 0.7,
    row_scale: float = 0.0,
    group_scale: float = 0.0,
    row_offset: float = 0.0,
    column_offset: float = 0.0,
    constant: float = 0.0,
    missing: float = 0.0,
) -> Planted:
    """Draw T_uv = o_u + c_v + s_u (same group + noise), with heterogeneous units if asked for.

    Parameters
    ----------
    seed : int
        Seed of everything random.
    n, k : int
        Number of tasks and of groups, each of at least two tasks.
    snr : float
        Smallest group size over the edge of the spectrum of the symmetrised noise, sqrt(2 n) sigma: around 1
        the groups disappear in the noise.
    balance : float
        Group sizes are drawn proportional to uniform numbers in [balance, 2 - balance]; 1 for equal sizes.
    row_scale : float
        s_u = exp(row_scale N(0, 1)).
    group_scale : float
        Multiplies s_u by exp(group_scale g), g running from -1 to 1 over the groups.
    row_offset, column_offset : float
        Standard deviations of o_u and c_v.
    constant : float
        Added to every entry.
    missing : float
        Share of off-diagonal pairs that are NaN in both directions.

    Returns
    -------
    Planted
        Matrix of shape (n, n) and labels.

    Raises
    ------
    InputError
        If n < 2 k, or snr, balance or missing is out of range.
    """
    if not 1 <= k <= n // 2:
        raise InputError(f"A block model needs 1 <= k <= n / 2 groups, got k = {k} and n = {n}.")
    if not (snr > 0 and 0 < balance <= 1 and 0 <= missing < 1):
        raise InputError(
            f"A block model needs snr > 0, 0 < balance <= 1 and 0 <= missing < 1, got snr = {snr}, "
            f"balance = {balance}, missing = {missing}."
        )
    rng = np.random.default_rng(seed)
    sizes = _sizes(rng, n, k, balance)
    labels = np.repeat(np.arange(k, dtype=np.intp), sizes)
    sigma = sizes.min() / (np.sqrt(2.0 * n) * snr)
    signal = np.eye(k)[labels][:, labels] + sigma * rng.standard_normal((n, n))
    tilt = np.linspace(-1.0, 1.0, k) if k > 1 else np.zeros(1)
    scale = np.exp(row_scale * rng.standard_normal(n) + group_scale * tilt[labels])
    T = constant + scale[:, None] * signal
    T += row_offset * rng.standard_normal(n)[:, None] + column_offset * rng.standard_normal(n)[None, :]
    if missing > 0:
        gone = np.triu(rng.random((n, n)) < missing, 1)
        T[gone | gone.T] = np.nan
    return Planted(T, labels)


def noise(seed: int, n: int) -> NDArray[np.float64]:
    """Draw independent standard normal affinities, shape (n, n): no groups at all."""
    return np.random.default_rng(seed).standard_normal((n, n))


def _sizes(rng: np.random.Generator, n: int, k: int, balance: float) -> NDArray[np.intp]:
    share = rng.uniform(balance, 2.0 - balance, k) if balance < 1 else np.ones(k)
    sizes = np.maximum(2, np.floor(share / share.sum() * n)).astype(np.intp)
    while sizes.sum() < n:
        sizes[rng.integers(k) if balance < 1 else sizes.argmin()] += 1
    while sizes.sum() > n:
        sizes[sizes.argmax()] -= 1
    return np.asarray(sizes, dtype=np.intp)
