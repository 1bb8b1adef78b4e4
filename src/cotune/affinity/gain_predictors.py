"""Predictors of the gain of a task from the company it is trained in, all of one form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief
from cotune.affinity._gaussian import Array
from cotune.affinity._higher_order import higher_order
from cotune.affinity.company_surrogate import CompanySurrogate, company_effects
from cotune.affinity.kernel_surrogate import KernelSurrogate

Members = NDArray[np.bool_]
PredictorMaker: TypeAlias = "Callable[[], GainPredictor]"
"""What makes a predictor that is not fitted yet, such as its class."""


@dataclass(frozen=True)
class SizedEffects(Brief):
    """Gains that follow from pairs and sizes.

    Task i in a group S of s tasks gains ``by_size[s-1] * sum over j in S of effects[i, j] + own[i, s-1]``.

    Parameters
    ----------
    effects : ndarray of shape (n, n)
        Of task j on task i, 0 on the diagonal.
    by_size : ndarray of shape (n,)
        Factor of a group of s tasks at s - 1.
    own : ndarray of shape (n, n)
        What company of a size does to task i whoever it is; 0 in the first column.
    """

    effects: Array
    by_size: Array
    own: Array

    def predict(self, inside: Members) -> Array:
        """Return gains of the tasks of each subset, shape (q, n), NaN elsewhere."""
        at = np.maximum(inside.sum(1) - 1, 0)
        gain = self.by_size[at][:, None] * (inside @ self.effects.T) + self.own[:, at].T
        return np.where(inside, gain, np.nan)


class GainPredictor(ABC):
    """Learns ``g_i(S)``, the gain of task i in subset S over training alone, from runs."""

    name: ClassVar[str]
    words: ClassVar[str]
    """What it predicts by, as a sentence says it."""
    most_tasks: ClassVar[int | None] = None
    """Most tasks that it can be asked about; None for any number."""
    knows_company: ClassVar[bool] = False
    """Whether it can tell of companions that a task never met in a run."""

    @abstractmethod
    def fit(self, inside: Members, gains: Array) -> Self:
        """Fit to gains of runs, shapes (m, n), tasks alone among them, and choose what is to be chosen."""

    def refit(self, inside: Members, gains: Array) -> Self:
        """Fit another predictor to other runs with the choices of this one."""
        return type(self)().fit(inside, gains)

    @abstractmethod
    def predict(self, inside: Members) -> Array:
        """Return gains of the tasks of each subset, shape (q, n), NaN elsewhere; 0 for a task alone."""

    def sized(self) -> SizedEffects | None:
        """Return the prediction as effects of pairs and sizes, None where it has no such form."""
        return None


class SizedPredictor(GainPredictor):
    """A predictor of effects of pairs and sizes."""

    _form: SizedEffects

    def predict(self, inside: Members) -> Array:
        """Return gains of the tasks of each subset, shape (q, n), NaN elsewhere."""
        return self._form.predict(inside)

    def sized(self) -> SizedEffects:
        """Return the effects."""
        return self._form


class OwnMean(SizedPredictor):
    """The task's mean gain in company of a size, whoever that is: what any other predictor has to beat."""

    name = "own_mean"
    words = "each task's own mean in company"

    def fit(self, inside: Members, gains: Array) -> Self:
        """Fit to gains of runs."""
        n = inside.shape[1]
        size = inside.sum(1)
        seen = np.unique(size[size > 1])
        own = np.zeros((n, n))
        if len(seen):
            total = np.array([np.where(inside, gains, 0.0)[size == s].sum(0) for s in seen])
            count = np.array([inside[size == s].sum(0) for s in seen])
            over_all = total.sum(0) / np.maximum(count.sum(0), 1)
            means = np.where(count > 0, total / np.maximum(count, 1), over_all)
            for s in range(2, n + 1):  # a size that was not run is taken for the nearest that was
                own[:, s - 1] = means[int(np.abs(np.log(seen / s)).argmin())]
        self._form = SizedEffects(np.zeros((n, n)), np.zeros(n), own)
        return self


class PairAverage(SizedPredictor):
    """The mean over the company of what each companion did in pairs (Standley et al., 2020).

    A pair that was not run by itself has the mean over the runs that hold it (Eq. 6), and one that never
    met the mean of the task's other pairs.
    """

    name = "pair_average"
    words = "the average over pairs"

    def fit(self, inside: Members, gains: Array) -> Self:
        """Fit to gains of runs."""
        n = inside.shape[1]
        size = inside.sum(1)
        pairs = higher_order(inside[size == 2], gains[size == 2]).matrix
        company = higher_order(inside[size > 1], gains[size > 1]).matrix
        effects = np.where(np.isnan(pairs), company, pairs)
        np.fill_diagonal(effects, np.nan)
        known = ~np.isnan(effects)
        mean = np.where(known, effects, 0.0).sum(1) / np.maximum(known.sum(1), 1)
        effects = np.where(known, effects, mean[:, None])
        np.fill_diagonal(effects, 0.0)
        by_size = np.concatenate([[0.0], 1.0 / np.arange(1.0, n)])
        self._form = SizedEffects(effects, by_size, np.zeros((n, n)))
        return self


class Company(SizedPredictor):
    """A :class:`CompanySurrogate`: the effect of company between a mean and a sum, as the runs tell."""

    name = "company"
    words = "effects of companions that change with the size of the group"
    _power: ClassVar[float | None] = None
    _common: ClassVar[float | None] = None
    _chosen: Mapping[str, float]

    def fit(self, inside: Members, gains: Array) -> Self:
        """Fit to gains of runs."""
        found = CompanySurrogate(power=self._power, common=self._common).fit(inside, gains)
        self._chosen = {"ridge": found.ridge_, "power": found.power_, "common": found.common_}
        self._form = SizedEffects(found.effects_, found.by_size_, np.zeros(found.effects_.shape))
        return self

    def refit(self, inside: Members, gains: Array) -> Self:
        """Fit another to other runs, with the same choices."""
        again = type(self)()
        again._chosen, by_size = self._chosen, self._form.by_size
        effects = company_effects(inside, gains, **self._chosen)
        again._form = SizedEffects(effects, by_size, np.zeros(effects.shape))
        return again


class Linear(Company):
    """The linear surrogate (App. B.3 of AdaGroup): effects of companions add up."""

    name = "linear"
    words = "effects of companions that add up"
    _power = 0.0
    _common = 0.0


class Kernel(GainPredictor):
    """A :class:`KernelSurrogate`: companions may interact."""

    name = "kernel"
    words = "a kernel on subsets"
    most_tasks = 16

    def fit(self, inside: Members, gains: Array) -> Self:
        """Fit to gains of runs."""
        self._surrogate = KernelSurrogate().fit(inside, gains)
        return self

    def refit(self, inside: Members, gains: Array) -> Self:
        """Fit another to other runs, with the same choices."""
        again = type(self)()
        again._surrogate = KernelSurrogate(ridge=self._surrogate.ridge_, decay=self._surrogate.decay_)
        again._surrogate.fit(inside, gains)
        return again

    def predict(self, inside: Members) -> Array:
        """Return gains of the tasks of each subset."""
        alone = self._surrogate.predict(np.eye(inside.shape[1], dtype=bool))
        assert isinstance(alone, np.ndarray)
        gain = np.full(inside.shape, np.nan)
        for rows in np.array_split(np.arange(len(inside)), max(1, len(inside) // _AT_ONCE)):
            found = self._surrogate.predict(inside[rows])
            assert isinstance(found, np.ndarray)
            gain[rows] = found - np.diag(alone)
        return gain


_AT_ONCE = 8192
"""Subsets that a kernel is asked about at once, for memory."""

PREDICTORS: tuple[type[GainPredictor], ...] = (OwnMean, PairAverage, Company, Linear, Kernel)
"""Every predictor, the simpler first: of equally good ones the first is taken."""


def told(inside: Members, asked: Members) -> Array:
    """Return how much of the company of task i in each asked subset runs tell of, from 0 to 1, shape (q, n).

    In a run of t tasks a companion is one of t - 1, so much it tells of each of them. Of a companion in a
    subset of s tasks enough is known where runs tell 1 / (s - 1) of it together.
    """
    others = inside.sum(1) - 1.0
    company = inside[others > 0].astype(float)
    of_pair = company.T @ (company / others[others > 0, None])
    np.fill_diagonal(of_pair, 0.0)
    share = np.zeros(asked.shape)
    size = asked.sum(1)
    for s in np.unique(size[size > 1]):
        enough = np.minimum(of_pair * (s - 1.0), 1.0)
        share[size == s] = asked[size == s] @ enough.T / (s - 1.0)
    return np.where(asked, share, 0.0)
