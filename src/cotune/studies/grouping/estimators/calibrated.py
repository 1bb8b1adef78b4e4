from __future__ import annotations

from functools import partial

import numpy as np

from cotune.affinity import FirstOrderGain, calibrated
from cotune.studies.grouping.estimators._base import Estimate, Records
from cotune.studies.grouping.estimators._linear import LinearEstimator, trust_in
from cotune.studies.grouping.estimators._table import RunTable
from cotune.training.learner import Learner


class Calibrated(LinearEstimator):
    """Few trained subsets put right first-order predictions of very many: a control variate."""

    def estimate(self, learner: Learner, records: Records, seed: int) -> Estimate:
        """Estimate Eq. 6 from trained scores and predictions."""
        table = RunTable.of(learner.tasks, records)
        model = self.fitted(learner, records, table)
        pool = self.pool(len(table.tasks), seed)
        predicted = model.predict(table.membership)
        result = calibrated(table.membership, table.scores, predicted, pool, model.predict(pool))
        trust, notes = trust_in(predicted, table)
        return Estimate(
            result.affinity,
            estimator=(
                f"calibrated, {len(table.scores)} trained and {len(pool):,} predicted subsets of "
                f"{self.subset_size} tasks, regularisation {model.regularisation_:.3g}"
            ),
            unit="mean validation score of the task over subsets with the other, higher is better",
            single=table.single,
            gains=table.gains(result.affinity),
            predict=model.predict,
            trust=trust,
            gain_predictors=(partial(FirstOrderGain, model.predict, seed),),
            notes=(*table.notes, _worth(result.unexplained), *notes),
        )


def _worth(unexplained: np.ndarray) -> str:
    """Say what the predictions were worth as control variate."""
    known = unexplained[np.isfinite(unexplained)]
    if not len(known):
        return "No task was in three trained subsets, so it is not known what the predictions were worth."
    share = float(np.median(known))
    if share >= 1:
        return (
            "The predictions were no help: they leave all of the variance of the trained scores unexplained "
            f"({share:.0%} in the median over tasks)."
        )
    return (
        f"The predictions leave {share:.0%} of the variance of the trained scores unexplained (median over "
        f"tasks), so that a trained run counts for about {1 / max(share, 0.01):.2g}."
    )
