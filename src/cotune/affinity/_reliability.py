"""How much of the differences between runs is what they were trained on, and how much is noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cotune._repr import Brief
from cotune.affinity._gaussian import Array, Spectra, Spectrum, best_ratio
from cotune.affinity._runs import check_runs

_CHANCE = 2.7
"""Twice the gain in log-likelihood that a variance whose bound is 0 exceeds by chance in 5 % (Self and Liang,
1987)."""
_FEWEST_RUNS = 3
"""Runs of a task below which it says nothing."""


@dataclass(frozen=True)
class Reliability(Brief):
    """What part of the variance of a task's scores between runs comes from who was trained along.

    Parameters
    ----------
    share : float
        By restricted maximum likelihood, one for all tasks, from 0 to 1; NaN where runs cannot tell: none of
        a task's three or more share a companion, or their scores do not differ.
    beyond_chance : bool
        Whether runs without any such part would look like it in fewer than 5 % of cases.
    repeated : bool
        Whether it is the agreement of runs of one subset; otherwise what effects of single companions
        explain, and interactions of companions count as noise.
    """

    share: float
    beyond_chance: bool
    repeated: bool


def reliability(membership: ArrayLike, scores: ArrayLike) -> Reliability:
    """Tell signal from noise in the scores of runs.

    With a mean a_i and a scale of each task's own, ``f_i(S) = a_i + u_i(S) + noise``, u_i a Gaussian process
    over subsets. Where subsets were run twice or more, on average, u_i(S) is drawn anew for every subset;
    else it is a sum of effects of the companions, as in a :class:`LinearSurrogate`.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        Whether task i was trained in run r.
    scores : array_like of shape (m, n)
        ``f_i(S_r)``; ignored where the task was not in the run.
    """
    inside, f = check_runs(membership, scores)
    repeated = len(inside) >= 2 * len(np.unique(inside, axis=0))
    spectra = []
    for i in np.flatnonzero(inside.sum(0) >= _FEWEST_RUNS):
        rows = inside[:, i]
        company = inside[rows].astype(float)
        company[:, i] = 0.0
        spectrum = Spectrum.of_factor(_which(company) if repeated else company, f[rows, i])
        if spectrum.informative and _tells(spectrum):
            spectra.append(spectrum)
    if not spectra:
        return Reliability(float("nan"), False, repeated)
    ratio, likelihood = best_ratio(spectra)
    unit = sum(float(s.values.sum()) for s in spectra) / sum(s.runs - 1 for s in spectra)
    # So much noise that the kernel no longer matters: the limit of none.
    without = Spectra.of(spectra).log_likelihood(1e9 * unit)
    return Reliability(unit / (unit + ratio), 2.0 * (likelihood - without) > _CHANCE, repeated)


def _tells(spectrum: Spectrum) -> bool:
    """Whether signal would look other than noise: not where every run had company of its own alone."""
    values = np.r_[spectrum.values, np.zeros(spectrum.runs - 1 - len(spectrum.values))]
    return bool(np.ptp(values) > 1e-9 * values.max(initial=0.0))


def _which(company: Array) -> Array:
    """Return which of the different companies each run had, as indicators."""
    different, which = np.unique(company, axis=0, return_inverse=True)
    return np.asarray(np.eye(len(different))[which.ravel()])
