"""How much to regularise predictions: what gradients say of themselves, corrected by all trained runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief
from cotune.affinity._entries import Array, Entries
from cotune.affinity.agreement import CORRELATION, CORRELATION_SPREAD
from cotune.affinity.evidence import typical_deviation

_DECADES = 1.0
"""Standard deviation of the prior, in powers of ten: the best for held-out examples need not be what
training of some length comes to."""
_LEVEL = 0.8
"""Probability that the interval is made for."""
_TOLD = math.log(3.0)
"""Log-evidence by which runs have to prefer something to what gradients say, to be said to tell anything."""
_CORRELATIONS = np.linspace(-0.95, 0.95, 39)


@dataclass(frozen=True)
class Regularisation(Brief):
    """A regularisation and how well it is known.

    Parameters
    ----------
    value : float
        The mean of the posterior, on the scale of logarithms.
    low, high : float
        Central interval of the posterior that holds 80 %.
    prior : float
        What gradients say without any run: the candidate with the least loss on held-out examples.
    told : bool
        Whether the trained runs prefer any candidate to that by more than a factor of 3; else the prior was
        taken, and runs changed little.
    log_evidence : dict of float to float
        Of the trained runs under each candidate, less that of the best.
    """

    value: float
    low: float
    high: float
    prior: float
    told: bool
    log_evidence: dict[float, float]


def by_evidence(
    candidates: Sequence[float], predicted: Sequence[Array], inside: NDArray[np.bool_], f: Array
) -> Regularisation:
    """Weigh candidates by what they predict.

    With y the trained scores and z those predicted, both less the task's mean and what all runs of a size
    have in common, in units of the task's standard deviation (shrunk between tasks),

        y = c z + noise,   noise ~ N(0, 1 - c^2),   c ~ N(0.5, 0.25^2),

    c being the correlation of predictions with training; integrated over c it is the evidence of a
    candidate. The prior is normal on the logarithm, one power of ten wide, around the candidate whose
    predictions have the least loss: they are of examples that the regression has not seen, so that the noise
    of gradients decides.

    Parameters
    ----------
    candidates : sequence of float
        Ascending.
    predicted : sequence of ndarray, shape (m, n) each
        What each predicts for the subsets: minus the loss on held-out examples, NaN outside a subset.
    inside : ndarray of bool, shape (m, n)
        The subsets, of any sizes.
    f : ndarray of shape (m, n)
        Trained scores; NaN where there is none, also for all.
    """
    x = np.log10(np.asarray(candidates, dtype=float))
    prior = int(np.argmax([float(np.nanmean(p)) for p in predicted]))
    trained = inside & np.isfinite(f)
    evidence = np.array([_log_evidence(trained, f, p) for p in predicted])
    posterior = evidence - 0.5 * ((x - x[prior]) / _DECADES) ** 2
    weight = np.exp(posterior - posterior.max())
    weight /= weight.sum()
    # Quantiles between candidates: each stands for what is nearest to it.
    edges = np.r_[x[0], (x[1:] + x[:-1]) / 2.0, x[-1]]
    low, high = np.interp([(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], np.r_[0.0, weight.cumsum()], edges)
    return Regularisation(
        value=float(10.0 ** (weight @ x)),
        low=float(10.0**low),
        high=float(10.0**high),
        prior=float(candidates[prior]),
        told=bool(evidence.max() - evidence[prior] > _TOLD),
        log_evidence=dict(zip(map(float, candidates), (evidence - evidence.max()).tolist(), strict=True)),
    )


def _log_evidence(inside: NDArray[np.bool_], f: Array, predicted: Array) -> float:
    """Integrate the likelihood of trained scores over the correlation, without constants."""
    size = inside.sum(1)
    sizes = np.unique(size[size > 0])
    nuisance = [_within_tasks(inside, np.where(size[:, None] == s, 1.0, 0.0)) for s in sizes[1:]]
    y, z = (_within_tasks(inside, v) / _deviation(inside, v) for v in (f, predicted))
    y, z = y[inside], z[inside]
    rank = 0
    if nuisance:
        X = np.stack([column[inside] for column in nuisance], axis=1)
        basis, singular, _ = np.linalg.svd(X, full_matrices=False)
        basis = basis[:, singular > 1e-9 * singular.max(initial=1e-300)]
        rank = basis.shape[1]
        y, z = y - basis @ (basis.T @ y), z - basis @ (basis.T @ z)
    free = max(float(np.maximum(inside.sum(0) - 1, 0).sum()) - rank, 0.0)
    c = _CORRELATIONS
    left = 1.0 - c**2
    rest = (y @ y - 2.0 * c * (y @ z) + c**2 * (z @ z)) / left
    value = -0.5 * (free * np.log(left) + rest + ((c - CORRELATION) / CORRELATION_SPREAD) ** 2)
    return float(np.logaddexp.reduce(value))


def _within_tasks(inside: NDArray[np.bool_], values: Array) -> Array:
    """Subtract each task's mean over its runs; 0 outside."""
    known = np.where(inside, values, 0.0)
    return np.where(inside, known - known.sum(0) / np.maximum(inside.sum(0), 1), 0.0)


def _deviation(inside: NDArray[np.bool_], values: Array) -> Array:
    return typical_deviation(Entries.of(inside, np.where(inside, values, 0.0)))
