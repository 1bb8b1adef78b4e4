from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cotune.affinity import higher_order, mean_of_pairs
from cotune.studies.grouping.estimators._base import Array, Estimate, NegativeTransferScore, Predict
from cotune.studies.grouping.estimators._subsets import SubsetEstimator
from cotune.studies.grouping.estimators._table import RunTable


class HigherOrder(SubsetEstimator):
    """Higher-order affinity (Eq. 6): train random subsets of tasks, average what each pair's runs scored."""

    words: ClassVar[str] = "higher-order (Eq. 6)"
    unit: ClassVar[str] = "mean validation score of the task over the runs with the other, higher is better"

    def predictor(self, membership: NDArray[np.bool_], scores: Array) -> Predict:
        """Predict a score by the mean of a task's affinities to the others of the subset."""
        return partial(mean_of_pairs, higher_order(membership, scores))

    def from_table(self, table: RunTable, negative_transfer: NegativeTransferScore | None) -> Estimate:
        """Average the scores by pair."""
        affinity = higher_order(table.membership, table.scores)
        return Estimate(
            affinity,
            estimator=self.describe(table),
            unit=self.unit,
            single=table.single,
            gains=table.gains(affinity),
            scores=table.scores,
            predict=partial(mean_of_pairs, affinity),
            negative_transfer=negative_transfer,
            notes=table.notes,
        )
