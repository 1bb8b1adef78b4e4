from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

from cotune.affinity import mean_of_pairs, pairwise
from cotune.studies.grouping._runs import GroupingStudyRun
from cotune.studies.grouping.estimators._base import Estimate, Records
from cotune.studies.grouping.estimators._table import RunTable
from cotune.studies.grouping.estimators._trained import Trained, named
from cotune.training.learner import Learner


class Pairwise(Trained):
    """Loss-based pairwise affinity (Standley et al.): train every pair of tasks, and every task alone."""

    def runs(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """Return n (n - 1) / 2 runs on pairs and n on single tasks."""
        pairs = named(learner, itertools.combinations(range(len(learner.tasks)), 2))
        return self.fits([*pairs, *((task,) for task in learner.tasks)], seed)

    def estimate(self, learner: Learner, records: Records, seed: int) -> Estimate:
        """Take the score of each task in the company of each other."""
        table = RunTable.of(learner.tasks, records)
        affinity = pairwise(table.membership, table.scores)
        return Estimate(
            affinity,
            estimator=f"pairwise, {len(table.scores)} runs on pairs",
            unit="mean validation score of the task trained with the other, higher is better",
            single=table.single,
            gains=table.gains(affinity),
            predict=partial(mean_of_pairs, affinity),
            notes=table.notes,
        )
