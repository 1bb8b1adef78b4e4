"""What estimators share that predict scores of subsets to first order and train only a few."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from cotune.affinity import FirstOrder, Linearised, rank_agreement
from cotune.exceptions import InputError
from cotune.studies.grouping._runs import GroupingStudyRun, LinearRun
from cotune.studies.grouping.estimators._base import Array, Estimate, Predict, Records, Trust
from cotune.studies.grouping.estimators._table import RunTable, arrays_by_task
from cotune.studies.grouping.estimators._trained import TaskCount, Trained, few_subsets, named
from cotune.training.learner import Learner, LinearisedLearner

_NAMED = 10
_POOR = 0.3
"""Rank correlation below which a task's predictions are called poor."""
_MEETINGS = 20
"""Predicted subsets in which a pair of tasks should meet on average."""
_ALL_UP_TO = 2000
"""Subsets up to which all are predicted."""


class LinearEstimator(Trained):
    """An estimator that predicts the scores of very many subsets to first order, and trains a few."""

    subset_size: TaskCount = 3
    """Tasks in a subset, the paper's alpha."""
    subsets: PositiveInt | None = None
    """How many subsets are trained; by default as many as there are tasks."""
    predicted: PositiveInt | None = None
    """How many subsets are predicted; by default all up to 2000, then 20 for every pair of tasks."""
    examples: PositiveInt = 32
    """Most training and most validation examples of a task whose gradients are taken."""
    dimension: PositiveInt = 256
    """Longer gradients are projected to this length."""
    alone: bool = False
    """Whether every task is also trained alone, to measure gains from."""

    def runs(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """Return a linear run for every task, and the few subsets that are trained."""
        if not isinstance(learner, LinearisedLearner):
            raise InputError(
                "This estimator needs a learner that can be linearised (language_model, function_classes, "
                "planted); use higher_order with this one."
            )
        n, names = len(learner.tasks), learner.tasks
        m = min(self.subsets or n, math.comb(n, self.subset_size) or n)
        trained = named(learner, few_subsets(n, self.subset_size, m, seed))
        lonely = set(names) - {task for subset in trained for task in subset}
        if lonely:
            raise InputError(
                f"affinity.subsets: {m} subsets of {self.subset_size} leave the task {min(lonely)} without a "
                f"trained run; at least {math.ceil(n / self.subset_size)} are needed, better {n}."
            )
        self.pool(n, seed)
        singles = [(task,) for task in names] if self.alone else []
        linear = [LinearRun((task,), seed, self.examples, self.dimension) for task in names]
        return [*linear, *self.fits([*trained, *singles], seed)]

    def pool(self, n: int, seed: int) -> NDArray[np.bool_]:
        """Return the subsets that are predicted: all, or a random sample in which every pair meets.

        Raises
        ------
        InputError
            If some pair does not.
        """
        size = self.subset_size
        possible = math.comb(n, size)
        wanted = self.predicted or max(
            _ALL_UP_TO, math.ceil(_MEETINGS * math.comb(n, 2) / math.comb(size, 2))
        )
        if wanted >= possible:
            chosen = np.array(list(itertools.combinations(range(n), size)))
        else:
            rng = np.random.default_rng((seed, 2))
            drawn: dict[tuple[int, ...], None] = {}
            while len(drawn) < wanted:
                drawn[tuple(sorted(rng.choice(n, size, replace=False).tolist()))] = None
            chosen = np.array(list(drawn))
        inside = np.zeros((len(chosen), n), dtype=bool)
        inside[np.arange(len(chosen))[:, None], chosen] = True
        met = inside.T.astype(float) @ inside
        if not met.all():
            raise InputError(
                f"affinity.predicted: among {len(chosen)} subsets of {size} some pairs of {n} tasks never "
                f"meet; use at least {math.ceil(_MEETINGS * math.comb(n, 2) / math.comb(size, 2))}."
            )
        return inside

    def fitted(self, learner: Learner, records: Records, table: RunTable) -> FirstOrder:
        """Choose the regularisation by the trained subsets."""
        assert isinstance(learner, LinearisedLearner)
        table.require_all_tasks()
        tasks = [Linearised(**arrays) for arrays in arrays_by_task(learner, records)]  # type: ignore[arg-type]
        return FirstOrder(loss=learner.linear_loss).fit(tasks, table.membership, table.scores)

    def threshold(self, estimate: Estimate) -> Array | None:
        """Predicted scores alone: predictions have a unit of their own."""
        assert estimate.predict is not None
        return alone_by(estimate.predict, estimate.affinity.matrix.shape[0])


def alone_by(predict: Predict, n: int) -> Array:
    """Predict every task alone."""
    return np.asarray(np.diag(predict(np.eye(n, dtype=bool))))


def trust_in(predicted: Array, table: RunTable) -> tuple[Trust, tuple[str, ...]]:
    """Compare predicted with trained scores of each task, and name the tasks where they disagree."""
    agreement = rank_agreement(predicted, table.scores)
    measure = "rank correlation of predicted with trained scores over the trained subsets with the task"
    trust = Trust(measure, dict(zip(table.tasks, agreement.tolist(), strict=True)))
    known = agreement[np.isfinite(agreement)]
    if not len(known):
        return trust, ("No task was in three trained subsets, so predictions could not be judged by task.",)
    notes = [
        f"Predicted scores rank a task's trained subsets with a correlation of {np.median(known):.2f} in the "
        f"median over tasks ({known.min():.2f} to {known.max():.2f}), judged on the {len(table.scores)} "
        "trained subsets that also chose the regularisation."
    ]
    poor = [(value, task) for task, value in trust.by_task.items() if value < _POOR]
    if poor:
        told = ", ".join(f"{task} ({value:.2f})" for value, task in sorted(poor)[:_NAMED])
        more = f" and {len(poor) - _NAMED} more" if len(poor) > _NAMED else ""
        notes.append(f"Do not trust predictions of these tasks: {told}{more}.")
    unknown = [task for task, value in trust.by_task.items() if np.isnan(value)]
    if unknown:
        notes.append(f"Predictions of {len(unknown)} of {len(agreement)} tasks could not be judged.")
    return trust, tuple(notes)
