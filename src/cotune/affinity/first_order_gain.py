"""First-order estimates of training as a predictor of gains, put right by what was trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np

from cotune.affinity._calibrated import task_slopes
from cotune.affinity._gaussian import Array
from cotune.affinity._mixed_sizes import mixed_sizes
from cotune.affinity.company_surrogate import CompanySurrogate
from cotune.affinity.gain_predictors import Members, SizedEffects, SizedPredictor

LARGER = 5
"""Cost of the estimated subsets of more than two tasks, in estimates of all tasks together."""
PAIRS_UP_TO = 2000
"""Pairs up to which all are estimated."""


class FirstOrderGain(SizedPredictor):
    """Gains that first-order estimates tell, in units of training, with what the runs say beyond them.

    Estimates are free of training, so very many subsets of all sizes have one: their law of company, with
    effects e_ij of pairs and a factor h(s) of the size, is learned from those (:class:`CompanySurrogate`).
    What a unit of it is worth in trained gain is a slope b_i of each task, shrunk between tasks and towards
    what estimates are usually worth (:func:`cotune.affinity.calibrated`); what that leaves of the runs is
    regressed on their company again, with the same factor:

        g_i(S) = h(|S|) * sum over the others j in S of (b_i e_ij + d_ij).

    Parameters
    ----------
    estimate : callable
        First-order scores of subsets, shape (q, n) to (q, n), in any units; of trained scores it may know no
        more than a constant or two.
    seed : int
        Of the subsets that are estimated.
    """

    name = "first_order"
    words = "first-order estimates, put right by the runs"
    knows_company = True

    def __init__(self, estimate: Callable[[Members], Array], seed: int = 0) -> None:
        self._estimate = estimate
        self._seed = seed

    def fit(self, inside: Members, gains: Array) -> Self:
        """Estimate subsets, and fit to gains of runs."""
        n = inside.shape[1]
        pairs = min(n * (n - 1) // 2, PAIRS_UP_TO)
        subsets = mixed_sizes(n, LARGER * n + 2 * pairs, self._seed)
        estimated = np.eye(n, dtype=bool)
        estimated = np.vstack([estimated, [np.isin(np.arange(n), subset) for subset in subsets]])
        law = CompanySurrogate().fit(estimated, self._estimate(estimated))
        self._power = law.power_
        self._told = SizedEffects(law.effects_, law.by_size_, np.zeros((n, n)))
        self._spread = np.nanvar(self._told.predict(estimated[n:]), axis=0)
        return self._put_right(inside, gains, CompanySurrogate(power=self._power))

    def refit(self, inside: Members, gains: Array) -> Self:
        """Put the same estimates right by other runs, with the same choices."""
        again = type(self)(self._estimate, self._seed)
        again._power, again._told, again._spread = self._power, self._told, self._spread
        was = self._rest
        rest = CompanySurrogate(ridge=was.ridge_, power=was.power_, common=was.common_)
        return again._put_right(inside, gains, rest)

    def _put_right(self, inside: Members, gains: Array, rest: CompanySurrogate) -> Self:
        told, company = self._told.predict(inside), inside.sum(1) > 1
        slopes = task_slopes(inside[company], gains[company], told[company], self._spread)
        self._rest = rest.fit(inside, gains - slopes * told)
        effects = slopes[:, None] * self._told.effects + self._rest.effects_
        self._form = SizedEffects(effects, self._told.by_size, self._told.own)
        return self
