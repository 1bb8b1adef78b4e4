from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from cotune.affinity import cover_pairs, higher_order
from cotune.studies._runs import RunRecord
from cotune.studies.grouping._runs import AnyRun, FitRun
from cotune.studies.grouping.estimators._base import Estimate, Estimator
from cotune.training.learner import Learner, Subset


class HigherOrder(Estimator):
    """Higher-order affinity (Eq. 6): train random subsets of tasks, average what each pair's runs scored."""

    subset_size: Annotated[int, Field(ge=2)] = 3
    """Tasks in a subset, the paper's alpha."""
    subsets: PositiveInt | None = None
    """How many subsets, the paper's m; by default five a task, or more if pairs would not meet."""
    steps_per_task: PositiveInt = 32
    """Training steps of a run for each task of its subset."""
    seeds: PositiveInt = 1
    """How many times every subset is trained, each time with another seed."""

    def runs(self, learner: Learner, seed: int) -> Sequence[AnyRun]:
        """Return the subsets' runs, and every task alone to measure gains from."""
        subsets = [*self._design(learner, seed), *((task,) for task in learner.tasks)]
        return [
            FitRun(subset, seed + repeat, self.steps_per_task * len(subset), "validation")
            for repeat in range(self.seeds)
            for subset in subsets
        ]

    def _design(self, learner: Learner, seed: int) -> list[Subset]:
        names = learner.tasks
        n, size = len(names), self.subset_size
        m = self.subsets
        if m is None and 2 <= size <= n:
            m = min(max(5 * n, len(cover_pairs(n, size, None, seed))), math.comb(n, size))
        return [tuple(sorted(names[i] for i in subset)) for subset in cover_pairs(n, size, m, seed)]

    def estimate(self, learner: Learner, records: Mapping[AnyRun, RunRecord]) -> Estimate:
        """Average the scores of the runs that did not fail."""
        names = list(learner.tasks)
        done = [(run, record) for run, record in records.items() if record.error is None]
        runs = [(run, record) for run, record in done if len(run.subset) > 1]
        membership = np.array([[name in run.subset for name in names] for run, _ in runs])
        scores = np.array(
            [[r.scores[name].utility if name in run.subset else np.nan for name in names] for run, r in runs]
        ).reshape(-1, len(names))
        failed = len(records) - len(done)
        alone: dict[str, list[float]] = {}
        for run, record in done:
            if len(run.subset) == 1:
                alone.setdefault(run.subset[0], []).append(record.scores[run.subset[0]].utility)
        return Estimate(
            higher_order(membership.reshape(-1, len(names)), scores),
            estimator=f"higher-order (Eq. 6), {len(runs)} runs on subsets of {self.subset_size} tasks",
            unit="mean validation score of the task over the runs with the other, higher is better",
            scores=scores,
            single={task: float(np.mean(values)) for task, values in alone.items()},
            notes=(f"{failed} of {len(records)} runs failed and are left out.",) if failed else (),
        )
