from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat

from cotune.affinity import LinearSurrogate as Surrogate
from cotune.studies.grouping.estimators._base import Array, Estimate, NegativeTransferScore, Predict
from cotune.studies.grouping.estimators._subsets import SubsetEstimator, surrogate_means
from cotune.studies.grouping.estimators._table import RunTable


class LinearSurrogate(SubsetEstimator):
    """Linear surrogate (App. B.3): what each other task adds to a task's score, by ridge least squares."""

    words: ClassVar[str] = "linear surrogate (App. B.3)"
    unit: ClassVar[str] = "theta_ij: what task j in the subset adds to the validation score of task i"

    ridge: NonNegativeFloat | None = None
    """Ridge penalty, 0 for the paper's least squares; by default chosen by restricted likelihood."""

    def predictor(self, membership: NDArray[np.bool_], scores: Array) -> Predict:
        """Predict by the sum of a subset's thetas."""
        return surrogate_means(Surrogate(ridge=self.ridge).fit(membership, scores))

    def from_table(self, table: RunTable, negative_transfer: NegativeTransferScore | None) -> Estimate:
        """Take the thetas; gains are those of the surrogate's mean over subsets (Eq. 6)."""
        table.require_all_tasks()
        surrogate = Surrogate(ridge=self.ridge).fit(table.membership, table.scores)
        return Estimate(
            surrogate.theta_,
            estimator=f"{self.describe(table)}, ridge {surrogate.ridge_:.3g}",
            unit=self.unit,
            single=table.single,
            gains=table.gains(surrogate.affinity(self.subset_size)),
            predict=surrogate_means(surrogate),
            negative_transfer=negative_transfer,
            notes=table.notes,
        )
