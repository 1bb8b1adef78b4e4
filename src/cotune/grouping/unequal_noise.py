"""Noise that differs between tasks or between groups: what entries are worth, and what it costs to say so.

Taken for equal, the larger noise of some blocks is fitted as means of groups that are not there: every split
of a noisy group seems to explain some of it, and all of them together outweigh the groups themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from cotune.grouping._partition import Labels, Matrix, indicator
from cotune.grouping.block_model import Observations
from cotune.grouping.evidence_search import Candidate

TASKS = (20, 1000)
"""Fewest and most tasks among which the noise may differ."""

DEGREES = np.geomspace(1.0, 1e5, 26)
"""How alike variances of pairs of groups may be; at the most they are as good as equal."""

SWEEPS = 5
"""Alternations of the variances of tasks."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What entries are worth beside one another.

    Parameters
    ----------
    precision : ndarray of shape (n, n)
        Inverse variances, symmetric.
    charge : float
        What the variances cost, as minus twice a log evidence.
    """

    precision: Matrix
    charge: float


def unequal_noises(data: Observations, candidate: Candidate) -> Iterator[Noise]:
    """Yield the kinds of unequal noise that might describe what a partition leaves."""
    if not TASKS[0] <= data.n <= TASKS[1] or data.flat:
        return
    squares = data.squares(candidate.fit, candidate.labels)
    yield _of_tasks(squares)
    if candidate.k > 1:
        seen = np.ones_like(squares) if data.W is None else (data.W > 0).astype(float)
        yield _of_groups(squares, seen, candidate.labels, candidate.k, candidate.fit.s2)


def _of_tasks(squares: Matrix) -> Noise:
    """Set variances v_i v_j to their likeliest; a variance a task is paid for."""
    n = len(squares)
    v = np.ones(n)
    for _ in range(SWEEPS):
        v = np.sqrt(v * np.maximum(squares @ (1.0 / v) / (n - 1.0), 1e-12))
    return Noise(1.0 / (v[:, None] * v), n * float(np.log((n - 1) / 2.0)))


def _of_groups(squares: Matrix, seen: Matrix, labels: Labels, k: int, s2: float) -> Noise:
    """Expect a variance for every pair of groups, drawn around one that is common, and integrate it out.

    The charge is what their evidence is short of that of normal noise with the variances expected.
    """
    V = indicator(labels, k)
    off = seen - np.diag(np.diag(seen))
    once = np.where(np.eye(k, dtype=bool), 0.5, 1.0)
    above = np.triu_indices(k)
    N, Q = ((V.T @ values @ V * once)[above] for values in (off, squares))
    costs = []
    for degrees in DEGREES:
        each = gammaln(degrees / 2.0) - gammaln((degrees + N) / 2.0) + N / 2.0 * np.log(degrees * s2 / 2.0)
        each += (degrees + N) / 2.0 * np.log1p(Q / (degrees * s2))
        costs.append(2.0 * float(each.sum()))
    degrees = float(DEGREES[int(np.argmin(costs))])
    expected = (degrees * s2 + Q) / (degrees + N)
    variance = np.ones((k, k))
    variance[above] = variance[above[::-1]] = expected
    plain = float((N * np.log(expected) + Q / expected).sum())
    return Noise(1.0 / variance[labels][:, labels], min(costs) - plain)
