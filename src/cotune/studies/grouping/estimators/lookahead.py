from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import PositiveInt

from cotune.affinity import lookahead
from cotune.exceptions import InputError, RunError
from cotune.studies.grouping._runs import GroupingStudyRun, LookaheadRun
from cotune.studies.grouping.estimators._base import Estimate, Estimator, Records
from cotune.training.learner import Learner, LookaheadLearner


class Lookahead(Estimator):
    """Lookahead affinity (TAG): along one joint run, what a step on a task does to the loss of another."""

    scale: ClassVar[str] = "none"
    """Relative changes of loss are on one scale."""

    steps: PositiveInt | None = None
    """Training steps of the joint run; by default 32 a task."""
    every: PositiveInt = 10
    """Steps between measurements; each takes a step on every task and the losses of all tasks after it."""

    def runs(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """One joint run on all tasks."""
        if not isinstance(learner, LookaheadLearner):
            raise InputError(
                "The estimator lookahead needs a learner that can look a step ahead (language_model, "
                "function_classes, planted); use higher_order with this one."
            )
        tasks = tuple(learner.tasks)
        return [LookaheadRun(tasks, seed, self.steps or 32 * len(tasks), self.every)]

    def estimate(self, learner: Learner, records: Records, seed: int) -> Estimate:
        """Average the relative falls of loss."""
        (record,) = records.values()
        if record.error is not None:
            raise RunError(f"The joint run that looks ahead failed: {record.error}")
        before = record.arrays["before"]
        return Estimate(
            lookahead(before, record.arrays["after"]),
            estimator=f"lookahead (TAG), {len(before)} measurements along one joint run",
            unit="mean relative fall of the task's loss through a step on the other",
            notes=("Standard errors are those of the average along one run, not of another run.",),
        )
