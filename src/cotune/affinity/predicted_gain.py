"""Predicted gains of groups, by the predictor that did best on held-out runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from cotune._repr import Brief
from cotune.affinity._gaussian import Array
from cotune.affinity.gain_predictors import (
    PREDICTORS,
    GainPredictor,
    Members,
    OwnMean,
    PairAverage,
    PredictorMaker,
    told,
)
from cotune.affinity.gain_units import TaskGains, noise_variance
from cotune.exceptions import InputError

FOLDS = 10
"""Parts into which the subsets that were run are divided; each is predicted from the others."""
TOLD = 0.5
"""Share of its company that other runs must tell of for a held-out score of a task to count."""


@dataclass(frozen=True)
class HeldOut(Brief):
    """How a predictor did on runs of subsets that it had not seen.

    Parameters
    ----------
    name : str
        The predictor's.
    error : dict of int to float
        Mean squared error of the gains of one task, by subset size.
    """

    name: str
    error: dict[int, float]


@dataclass(frozen=True)
class Prediction(Brief):
    """What a :class:`PredictedGain` came to, without what it was fitted to.

    Parameters
    ----------
    chosen_, fell_back_, explained_, tested_sizes_, held_out_
        As there.
    words : dict of str to str
        By a predictor's name what it is, in words.
    """

    chosen_: str
    fell_back_: bool
    explained_: float
    tested_sizes_: tuple[int, ...]
    held_out_: tuple[HeldOut, ...]
    words: dict[str, str]


class PredictedGain:
    """Gains of tasks in any group, from runs of some.

    Every subset of two tasks or more is held out once, in ten parts. A held-out score of a task counts where
    other runs tell of at least half of its company (:func:`cotune.affinity.gain_predictors.told`), or where a
    predictor knows of company from elsewhere: otherwise there is nothing to predict it from.

    Attributes
    ----------
    chosen_ : str
        The predictor that did best on held-out runs of the sizes asked for; the average over pairs where no
        score could be held out.
    tested_sizes_ : tuple of int
        Sizes of which runs could be held out.
    held_out_ : tuple of HeldOut
        Every predictor's errors.
    fell_back_ : bool
        Whether none beat the tasks' own means there, and those were taken.
    explained_ : float
        Share of the held-out variance around the own means that was predicted, from 0 to 1; NaN untested.
    """

    def __init__(self, predictors: Sequence[PredictorMaker] = PREDICTORS) -> None:
        self.predictors = predictors

    def fit(self, gains: TaskGains) -> Self:
        """Fit every predictor, and hold out runs.

        Raises
        ------
        InputError
            If no run has two tasks.
        """
        self._gains, inside = gains, gains.inside
        self._runs: dict[bytes, list[int]] = {}
        for run, members in enumerate(inside):
            self._runs.setdefault(members.tobytes(), []).append(run)
        company = inside.sum(1) > 1
        if not company.any():
            raise InputError("All runs train one task alone: nothing tells what company does.")
        n = inside.shape[1]
        made = [make() for make in self.predictors]
        able = [kind for kind in made if kind.most_tasks is None or n <= kind.most_tasks]
        self._fitted = {kind.name: kind.fit(inside, gains.values) for kind in able}
        self._hold_out(company)
        size = inside.sum(1)
        counted = ~np.isnan(self._left[OwnMean.name])
        self.tested_sizes_ = tuple(int(s) for s in np.unique(size[counted.any(1)]))
        self.held_out_ = tuple(
            HeldOut(name, {s: float(np.nanmean(left[size == s] ** 2)) for s in self.tested_sizes_})
            for name, left in self._left.items()
        )
        return self.choose(())

    def choose(self, sizes: Iterable[int]) -> Self:
        """Take the predictor that did best where an answer with groups of these sizes needs it.

        A size that was not tested is taken for the nearest that was; without sizes above 1 all tested count.
        """
        if not self.tested_sizes_:
            self.chosen_, self.fell_back_, self.explained_ = PairAverage.name, False, float("nan")
            self._near: list[int] = []
            return self
        tested = np.array(self.tested_sizes_)
        asked = [s for s in sizes if s > 1] or list(self.tested_sizes_)
        self._near = [int(tested[np.abs(np.log(tested / s)).argmin()]) for s in asked]
        error = {held.name: float(np.mean([held.error[s] for s in self._near])) for held in self.held_out_}
        self.chosen_ = min(error, key=lambda name: error[name])  # of equals the first, which is the simpler
        self.fell_back_ = self.chosen_ == OwnMean.name
        own = error[OwnMean.name]
        self.explained_ = 1.0 - error[self.chosen_] / own if own > 0 else 0.0
        self._error = error[self.chosen_]
        return self

    @property
    def predictor(self) -> GainPredictor:
        """The predictor chosen, fitted to all runs."""
        return self._fitted[self.chosen_]

    @property
    def result(self) -> Prediction:
        """All that is to be known of it when groups are chosen."""
        words = {name: fitted.words for name, fitted in self._fitted.items()}
        return Prediction(
            self.chosen_, self.fell_back_, self.explained_, self.tested_sizes_, self.held_out_, words
        )

    def predict(self, membership: Members, *, believe_runs: bool = True) -> Array:
        """Return gains of the tasks of each subset, shape (q, n), NaN elsewhere.

        Parameters
        ----------
        membership : ndarray of bool, shape (q, n)
            The subsets.
        believe_runs : bool
            Whether a subset that was run is believed itself in part, see :meth:`trust`.
        """
        inside = np.asarray(membership, dtype=bool)
        gain = self.predictor.predict(inside)
        if believe_runs and self.tested_sizes_:
            for row, members in enumerate(inside):
                self._believe(gain[row], members)
        return gain

    def trust(self, runs: int) -> float:
        """How far a subset's own runs are believed against what is predicted of it from all, from 0 to 1.

        Where some subsets were run twice, the noise they show is told from what company explains, and what
        is left is the subset's own. Where none was, the share that held-out runs explained stands for it: a
        table in which nothing can be predicted may be all noise.
        """
        if not self.tested_sizes_:
            return 0.0
        noise = self._noise()
        if np.isnan(noise):
            return max(self.explained_, 0.0)
        own = max(self._error - noise, 0.0)
        return own / (own + noise / runs) if own > 0 else 0.0

    def _noise(self) -> float:
        variance = noise_variance(self._gains.inside, self._gains.values)
        return float(np.nanmean(variance)) if not np.isnan(variance).all() else float("nan")

    def _believe(self, gain: Array, members: Members) -> None:
        """Move the gain of a subset that was run from what is predicted towards the mean of its runs."""
        runs = self._runs.get(members.tobytes(), [])
        if not runs or members.sum() < 2:
            return
        mean, missed = self._gains.values[runs].mean(0), self._left[self.chosen_][runs].mean(0)
        # The prediction has seen these runs; where their noise is known, what the others say is set
        # against them, so that they do not count twice. Of company met in no other run nothing else is known.
        twice = np.isnan(missed) | np.isnan(self._noise())
        gain[:] = mean - (1.0 - self.trust(len(runs))) * np.where(twice, mean - gain, missed)

    def _hold_out(self, company: Members) -> None:
        inside, values = self._gains.inside, self._gains.values
        fold = self._folds(company)
        by_runs = not any(kind.knows_company for kind in self._fitted.values())
        self._left = {name: np.full(values.shape, np.nan) for name in self._fitted}
        for part in range(FOLDS):
            asked, rest = fold == part, fold != part
            if not asked.any() or not (rest & company).any():
                continue
            counts = told(inside[rest], inside[asked]) >= TOLD - 1e-9 if by_runs else inside[asked]
            if not counts.any():
                continue
            for name, fitted in self._fitted.items():
                predicted = fitted.refit(inside[rest], values[rest]).predict(inside[asked])
                self._left[name][asked] = np.where(counts, values[asked] - predicted, np.nan)

    def _folds(self, company: Members) -> np.ndarray:
        """Return the part in which each run is held out, -1 for tasks alone; a subset's runs share one."""
        inside = self._gains.inside
        first = [runs[0] for runs in self._runs.values() if company[runs[0]]]
        subsets = np.random.default_rng(0).permutation(np.array(first))
        subsets = subsets[np.argsort(inside[subsets].sum(1), kind="stable")]  # sizes spread over the parts
        fold = np.full(len(inside), -1)
        for at, run in enumerate(subsets):
            fold[self._runs[inside[run].tobytes()]] = at % FOLDS
        return fold
