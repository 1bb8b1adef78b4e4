"""Affinity that nothing is trained for: tasks of one category go together."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cotune.affinity import Affinity
from cotune.studies.grouping.estimators import Estimate, Estimator


class Categories(Estimator):
    """1 where the authors of two tasks put them in one category, else ``across``."""

    scale: ClassVar[str] = "none"

    across: float = 0.0
    """Affinity of tasks of different categories."""

    def runs(self, learner, seed):
        """Need no runs."""
        return ()

    def estimate(self, learner, records, seed):
        """Compare categories."""
        category = np.array([learner.families[task] for task in learner.tasks])
        matrix = np.where(category[:, None] == category, 1.0, self.across)
        evidence = Affinity(matrix, np.ones(matrix.shape, dtype=np.int64), np.full(matrix.shape, np.nan))
        return Estimate(evidence, estimator="categories", unit="1 for tasks of one category")
