from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cotune.affinity import KernelSurrogate as Surrogate
from cotune.studies.grouping.estimators._base import Array, Estimate, NegativeTransferScore, Predict
from cotune.studies.grouping.estimators._subsets import SubsetEstimator, surrogate_means
from cotune.studies.grouping.estimators._table import RunTable


class KernelSurrogate(SubsetEstimator):
    """Kernel surrogate: scores of subsets by kernel regression, which also takes up interactions of tasks."""

    words: ClassVar[str] = "kernel surrogate"
    unit: ClassVar[str] = "mean predicted score of the task over subsets with the other, higher is better"

    def predictor(self, membership: NDArray[np.bool_], scores: Array) -> Predict:
        """Predict by kernel regression."""
        return surrogate_means(Surrogate().fit(membership, scores))

    def from_table(self, table: RunTable, negative_transfer: NegativeTransferScore | None) -> Estimate:
        """Average the surrogate over all subsets with each pair (Eq. 6)."""
        table.require_all_tasks()
        surrogate = Surrogate().fit(table.membership, table.scores)
        affinity = surrogate.affinity(self.subset_size)
        return Estimate(
            affinity,
            estimator=f"{self.describe(table)}, decay {surrogate.decay_:.3g}, ridge {surrogate.ridge_:.3g}",
            unit=self.unit,
            single=table.single,
            gains=table.gains(affinity),
            predict=surrogate_means(surrogate),
            negative_transfer=negative_transfer,
            notes=table.notes,
        )
