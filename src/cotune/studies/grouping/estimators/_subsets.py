from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from cotune.affinity import KernelSurrogate, LinearSurrogate, cover_pairs, mixed_sizes
from cotune.studies.grouping._runs import GroupingStudyRun
from cotune.studies.grouping.estimators._base import Array, Estimate, NegativeTransferScore, Predict, Records
from cotune.studies.grouping.estimators._negative_transfer import (
    UP_TO_TASKS,
    cross_predicted,
    score_negative_transfer,
)
from cotune.studies.grouping.estimators._table import RunTable
from cotune.studies.grouping.estimators._trained import TaskCount, Trained, named
from cotune.training.learner import Learner, Subset

_FEW = 4
"""Tasks up to which subsets of one size are too few to tell of every pair."""


class SubsetEstimator(Trained):
    """An estimator that trains subsets of tasks, and every task alone."""

    words: ClassVar[str]
    """What the estimator is, in words."""
    unit: ClassVar[str]
    """What one entry of its matrix is, in words."""

    subset_size: TaskCount = 3
    """Tasks in a subset, the paper's alpha."""
    subsets: PositiveInt | None = None
    """How many subsets, the paper's m; by default five a task, or more if pairs would not meet."""
    design: Literal["auto", "fixed_size", "mixed_sizes"] = "auto"
    """Which subsets: of one size, in which all pairs meet; or, at the cost of as many such, pairs, a few of a
    quarter and of half of the tasks, and all tasks. By default mixed where groups are chosen by gain and
    neither size nor number of subsets is given."""

    def for_objective(self, by_gain: bool) -> SubsetEstimator:
        """Settle the design."""
        if self.design != "auto":
            return self
        given = {"subset_size", "subsets"} & self.model_fields_set
        design = "mixed_sizes" if by_gain and not given else "fixed_size"
        return self.model_copy(update={"design": design})

    def runs(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """Return the subsets' runs, and every task alone to measure gains from."""
        return self.fits([*self._design(learner, seed), *((task,) for task in learner.tasks)], seed)

    def _design(self, learner: Learner, seed: int) -> list[Subset]:
        n, size = len(learner.tasks), self.subset_size
        m = self.subsets
        if self.design == "mixed_sizes":
            return named(learner, mixed_sizes(n, self._cost(n, seed), seed))
        if m is None and 2 <= size <= n:
            m = self._most(n, seed)
        return named(learner, cover_pairs(n, size, m, seed))

    def _cost(self, n: int, seed: int) -> int:
        """Return what as many subsets of one size would cost; of a few tasks at least all and every pair."""
        return max(self.subset_size * (self.subsets or self._most(n, seed)), min(n, _FEW) * n)

    def _most(self, n: int, seed: int) -> int:
        size = min(self.subset_size, n)
        return min(max(5 * n, len(cover_pairs(n, size, None, seed))), math.comb(n, size))

    def estimate(self, learner: Learner, records: Records, seed: int) -> Estimate:
        """Estimate from the scores of the runs that did not fail."""
        table = RunTable.of(learner.tasks, records)
        return self.from_table(table, self._cross_fitted(table, seed))

    def _cross_fitted(self, table: RunTable, seed: int) -> NegativeTransferScore | None:
        if not 2 < len(table.tasks) <= UP_TO_TASKS:
            return None
        predicted = cross_predicted(self.predictor, table, seed)
        return score_negative_transfer(f"{self.words}, fitted to other runs", predicted, table)

    @abstractmethod
    def predictor(self, membership: NDArray[np.bool_], scores: Array) -> Predict:
        """Fit to runs, and return what predicts others."""

    @abstractmethod
    def from_table(self, table: RunTable, negative_transfer: NegativeTransferScore | None) -> Estimate:
        """Estimate from the runs.

        Raises
        ------
        RunError
            If the runs that did not fail are too few.
        """

    def describe(self, table: RunTable) -> str:
        """Name the estimator with its size."""
        sizes = sorted(set(table.membership.sum(1).tolist())) or [self.subset_size]
        *most, last = map(str, sizes)
        named = f"{', '.join(most)} and {last}" if most else last
        return f"{self.words}, {len(table.scores)} runs on subsets of {named} tasks"


def surrogate_means(surrogate: LinearSurrogate | KernelSurrogate) -> Predict:
    """Return what predicts by a fitted surrogate."""

    def predict(membership: NDArray[np.bool_]) -> Array:
        return np.asarray(surrogate.predict(membership))

    return predict
