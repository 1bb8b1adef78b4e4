from __future__ import annotations

from functools import partial

from cotune.affinity import FirstOrderGain, gains, higher_order
from cotune.studies.grouping.estimators._base import Estimate, Records
from cotune.studies.grouping.estimators._linear import LinearEstimator, alone_by, trust_in
from cotune.studies.grouping.estimators._table import RunTable
from cotune.training.learner import Learner


class FirstOrder(LinearEstimator):
    """First-order estimates (GradEx): a small regression a subset; few trained subsets choose its penalty."""

    def estimate(self, learner: Learner, records: Records, seed: int) -> Estimate:
        """Average the predicted scores of the pool by pair (Eq. 6)."""
        table = RunTable.of(learner.tasks, records)
        model = self.fitted(learner, records, table)
        pool = self.pool(len(table.tasks), seed)
        affinity = higher_order(pool, model.predict(pool))
        trust, notes = trust_in(model.predict(table.membership), table)
        return Estimate(
            affinity,
            estimator=(
                f"first-order, {len(pool):,} predicted subsets of {self.subset_size} tasks, "
                f"{len(table.scores)} trained to choose the regularisation {model.regularisation_:.3g}"
            ),
            unit="minus the predicted loss of the task over subsets with the other",
            single=table.single,
            gains=gains(affinity, alone_by(model.predict, len(table.tasks))),
            predict=model.predict,
            trust=trust,
            gain_predictors=(partial(FirstOrderGain, model.predict, seed),),
            notes=(
                *table.notes,
                "Nearly all scores are predictions, in the units of the linearised loss; standard errors "
                "say how far subsets differ, not how far predictions are from training.",
                *notes,
            ),
        )
