from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import PositiveInt

from cotune.affinity import gradient_cosine
from cotune.exceptions import InputError
from cotune.studies.grouping._runs import FeatureRun, GroupingStudyRun
from cotune.studies.grouping.estimators._base import Estimate, Estimator, Records
from cotune.studies.grouping.estimators._table import arrays_by_task
from cotune.training.learner import FeatureLearner, Learner


class GradientCosine(Estimator):
    """First-order affinity from the tasks' gradients at the base model; trains nothing."""

    scale: ClassVar[str] = "none"
    """Cosines are on one scale."""

    examples: PositiveInt = 16
    """Training examples in each of the two halves a task's gradient is averaged over."""
    dimension: PositiveInt = 1 << 18
    """Longer gradients are sketched to this length."""

    def runs(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """One feature run a task."""
        if not isinstance(learner, FeatureLearner):
            raise InputError(
                "The estimator gradient_cosine needs a learner that has gradients (language_model, planted); "
                "use higher_order with this one."
            )
        return [FeatureRun((task,), seed, self.examples, self.dimension) for task in learner.tasks]

    def estimate(self, learner: Learner, records: Records, seed: int) -> Estimate:
        """Cosines between the tasks' mean gradients, across halves."""
        features = np.stack([arrays["features"] for arrays in arrays_by_task(learner, records)])
        return Estimate(
            gradient_cosine(features),
            estimator=f"gradient cosine at the base model, 2 x {self.examples} examples a task",
            unit="cosine between mean gradients of two tasks over disjoint examples",
        )
