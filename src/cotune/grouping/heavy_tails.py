"""The block model under noise with heavy tails, where single entries far out are not taken for groups.

Under normal noise an entry at four or five deviations is cheapest explained as a pair of tasks of its own.
Student's t explains it as noise. The fit is the usual one, entries weighted by (nu + 1) / (nu + e^2 / s2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from cotune.grouping._partition import Labels, Matrix
from cotune.grouping.block_fit import fit_model
from cotune.grouping.block_model import Fit, Observations
from cotune.grouping.evidence_search import Candidate

DEGREES = (3.0, 6.0)
"""Degrees of freedom that are tried beside normal noise."""

CHARGE = 2.0 * float(np.log(len(DEGREES) + 1.0))
"""What the choice among them costs."""

ROOM = 200.0
"""What a fit to weighted entries may gain over the residuals of the usual one."""

ROUNDS = 4
"""Alternations of weights and fit."""


@dataclass(frozen=True, slots=True)
class Tailed:
    """A partition fitted under heavy tails.

    Parameters
    ----------
    cost : float
        Minus twice the log evidence, on the scale of :class:`Fit` for the same affinities.
    degrees : float
        Degrees of freedom of the noise.
    weights : ndarray of shape (n, n)
        Of the entries.
    data : Observations
        The affinities under these weights.
    candidate : Candidate
        The partition with its fit to them.
    """

    cost: float
    degrees: float
    weights: Matrix
    data: Observations
    candidate: Candidate


def fit_tailed(data: Observations, candidate: Candidate, degrees: float, *, pairs: bool) -> Tailed:
    """Fit a partition under Student's t noise, from its fit under normal noise.

    Parameters
    ----------
    data : Observations
        The affinities.
    candidate : Candidate
        The partition.
    degrees : float
        Degrees of freedom.
    pairs : bool
        Whether pairs of groups have means of their own.
    """
    labels, k, fit = candidate.labels, candidate.k, candidate.fit
    base = np.ones((data.n, data.n)) if data.W is None else data.W
    square, s2, u = data.squares(fit, labels), fit.s2, base
    weighted = data
    for _ in range(ROUNDS):
        for _ in range(3):
            u = (degrees + 1.0) / (degrees + square / s2)
            # One entry of variance one beside them, as under normal noise.
            s2 = (float(np.vdot(u, square)) / 2.0 + 1.0) / (data.entries + 1.0)
        weighted = Observations(data.Y, u * base)
        fit = fit_model(weighted, labels, k, pairs=pairs, start=fit)
        square = base * weighted.scale**2 * weighted.squares(fit, labels) / _positive(weighted.W)
    cost = _cost(data, weighted, fit, labels, square, s2, degrees)
    return Tailed(cost, degrees, u * base, weighted, Candidate(labels, k, fit))


def _positive(W: Matrix | None) -> Matrix:
    return np.ones(1) if W is None else np.where(W > 0, W, 1.0)


def _cost(
    data: Observations,
    weighted: Observations,
    fit: Fit,
    labels: Labels,
    square: Matrix,
    s2: float,
    degrees: float,
) -> float:
    entries = max(data.entries, 1.0)
    noise = _noise(square[np.triu_indices(data.n, 1)], entries, s2, degrees)
    # The effects cost what they cost under the weights.
    left = float(weighted.squares(fit, labels).sum()) / 2.0
    prior = entries + 1.0 - (left + 1.0) / fit.s2
    return float(noise + prior + fit.cost - entries * (np.log(fit.s2) + 1.0))


def worth_trying(data: Observations, candidates: Iterable[Candidate], than: float) -> bool:
    """Whether heavy tails might explain one of some partitions at less than a cost.

    Judged by the residuals that they have under normal noise, with room for what another fit would gain.
    """
    above = np.triu_indices(data.n, 1)
    entries = data.entries
    for candidate in candidates:
        square = data.squares(candidate.fit, candidate.labels)[above]
        for degrees in DEGREES:
            s2 = candidate.fit.s2
            for _ in range(3):
                u = (degrees + 1.0) / (degrees + square / s2)
                s2 = (float(u @ square) + 1.0) / (entries + 1.0)
            gain = entries * (np.log(candidate.fit.s2) + 1.0) - _noise(square, entries, s2, degrees)
            if candidate.cost - gain + CHARGE < than + ROOM:
                return True
    return False


def _noise(square: Matrix, entries: float, s2: float, degrees: float) -> float:
    """Minus twice the log density of residuals with these squares, less what normal ones have in common."""
    each = gammaln(degrees / 2.0) - gammaln((degrees + 1.0) / 2.0) + 0.5 * np.log(degrees / 2.0)
    tails = (degrees + 1.0) * float(np.log1p(square / (degrees * s2)).sum())
    return float(entries * (2.0 * each + np.log(s2)) + tails + 1.0 / s2 - 1.0)


def best_tailed(data: Observations, candidate: Candidate, *, pairs: bool) -> Tailed:
    """Return the fit of a partition at the best of :data:`DEGREES`."""
    fits = [fit_tailed(data, candidate, degrees, pairs=pairs) for degrees in DEGREES]
    return min(fits, key=lambda tailed: tailed.cost)
