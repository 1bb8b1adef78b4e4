from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from cotune._config import Config
from cotune.affinity import cover_pairs, fewest_covering, spread_tasks
from cotune.exceptions import InputError
from cotune.studies.grouping._runs import FitRun, GroupingStudyRun
from cotune.studies.grouping.estimators._base import Array, Estimate, Estimator, Memory, Round, Rounds
from cotune.studies.grouping.estimators._negative_transfer import score_negative_transfer
from cotune.studies.grouping.estimators._table import RunTable
from cotune.training.learner import Learner, Subset

TaskCount = Annotated[int, Field(ge=2)]


class HeldOut(Config):
    """Subsets that are trained only to see how well the estimate predicts negative transfer (Fig. 8)."""

    sizes: Annotated[tuple[TaskCount, ...], Field(min_length=1)]
    """Sizes of the subsets."""
    subsets: PositiveInt = 20
    """How many of each size, drawn at random."""

    def draw(self, n: int, seed: int, taken: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Draw subsets of n tasks that are not among those taken."""
        rng = np.random.default_rng((seed, 1))
        drawn = dict.fromkeys(taken)
        known = len(drawn)
        for size in self.sizes:
            if size > n:
                raise InputError(
                    f"affinity.held_out.sizes must be at most the number of tasks {n}, got {size}."
                )
            free = math.comb(n, size) - sum(len(subset) == size for subset in drawn)
            wanted = len(drawn) + min(self.subsets, free)
            while len(drawn) < wanted:
                drawn[tuple(sorted(rng.choice(n, size, replace=False).tolist()))] = None
        return list(drawn)[known:]


class Trained(Estimator):
    """An estimator that trains subsets of tasks."""

    steps_per_task: PositiveInt = 32
    """Training steps of a run for each task of its subset."""
    seeds: PositiveInt = 1
    """How many times every subset is trained, each time with another seed."""
    held_out: HeldOut | None = None
    """Further subsets on which predictions of negative transfer are tested; by default none."""

    @property
    def task_steps(self) -> int:
        """Training steps of a run for each task of its subset."""
        return self.steps_per_task

    def fits(self, subsets: Iterable[Subset], seed: int) -> list[FitRun]:
        """Return the runs that train subsets, with every seed."""
        listed = list(subsets)
        return [
            FitRun(subset, seed + repeat, self.steps_per_task * len(subset), "validation")
            for repeat in range(self.seeds)
            for subset in listed
        ]

    def planned(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """Return the estimate's own runs and those held out."""
        own = self.runs(learner, seed)
        return [*own, *self.held_out_fits(learner, seed, own)]

    def held_out_fits(self, learner: Learner, seed: int, own: Sequence[GroupingStudyRun]) -> list[FitRun]:
        """Return the runs of the held-out subsets and of every task alone, less the estimate's own."""
        if self.held_out is None:
            return []
        place = {task: i for i, task in enumerate(learner.tasks)}
        taken = {tuple(sorted(place[task] for task in run.subset)) for run in own}
        drawn = self.held_out.draw(len(place), seed, taken)
        subsets = [*named(learner, drawn), *((task,) for task in learner.tasks)]
        mine = set(own)
        return [run for run in self.fits(subsets, seed) if run not in mine]

    def rounds(
        self, learner: Learner, seed: int, arrivals: Sequence[Sequence[str]], memory: Memory | None = None
    ) -> Rounds:
        """Ask for all runs at once, and score predictions on those held out."""
        own = self.runs(learner, seed)
        extra = self.held_out_fits(learner, seed, own)
        records = yield Round([*own, *extra])
        estimate = self.estimate(learner, {run: records[run] for run in own}, seed)
        if self.held_out is None or estimate.predict is None:
            return estimate
        mine = set(own)
        judged = {run: record for run, record in records.items() if run not in mine or len(run.subset) == 1}
        return self._judged(estimate, RunTable.of(learner.tasks, judged))

    def _judged(self, estimate: Estimate, table: RunTable) -> Estimate:
        assert estimate.predict is not None
        negative_transfer = score_negative_transfer(
            f"the estimate ({estimate.estimator})",
            estimate.predict(table.membership),
            table,
            predicted_alone=self.threshold(estimate),
        )
        return replace(estimate, negative_transfer=negative_transfer)

    def threshold(self, estimate: Estimate) -> Array | None:
        """Predicted scores below which a subset is said to hurt; None for what was trained alone."""
        return None


def enough(arrivals: Sequence[Sequence[str]], size: int) -> list[list[str]]:
    """Let the first to arrive be enough for a subset."""
    first, *later = (list(batch) for batch in arrivals)
    while later and len(first) < size:
        first += later.pop(0)
    return [first, *later]


def named(learner: Learner, subsets: Iterable[Iterable[int]]) -> list[Subset]:
    """Return subsets of task numbers by name."""
    names = learner.tasks
    return [tuple(sorted(names[i] for i in subset)) for subset in subsets]


def few_subsets(n: int, size: int, m: int, seed: int) -> list[tuple[int, ...]]:
    """Return m subsets that cover all pairs evenly, or, where they are too few for that, all tasks."""
    if not 2 <= size <= n or m >= math.comb(n, size):
        return _tuples(cover_pairs(n, size, m, seed))  # or its error
    # The bound is known at once; a whole design of many tasks takes long, and only a few numbers need it.
    few = m < fewest_covering(n, size) or m < len(cover_pairs(n, size, None, seed))
    return _tuples(spread_tasks(n, size, m, seed) if few else cover_pairs(n, size, m, seed))


def _tuples(subsets: NDArray[np.int64]) -> list[tuple[int, ...]]:
    return list(dict.fromkeys(tuple(int(i) for i in subset) for subset in subsets))
