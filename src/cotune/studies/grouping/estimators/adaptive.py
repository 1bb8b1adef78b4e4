from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from cotune.affinity import AdaptiveGrouping, LinearSurrogate, higher_order
from cotune.grouping import CertifiedGrouping, first_appearance
from cotune.studies.engine import RunRecord
from cotune.studies.grouping._found import FoundGroups
from cotune.studies.grouping._runs import FitRun, GroupingStudyRun
from cotune.studies.grouping.estimators._base import (
    Array,
    Estimate,
    Estimator,
    Memory,
    Records,
    Round,
    Rounds,
)
from cotune.studies.grouping.estimators._past import Past, recall
from cotune.studies.grouping.estimators._table import RunTable
from cotune.studies.grouping.estimators._trained import TaskCount, enough
from cotune.training.learner import Learner, Subset

_NAMED = 10
_ITERATIONS, _ITERATED_UP_TO = 30, 200
"""Iterations of the semidefinite program for a proposal, which the planner improves; of more tasks, one."""


class Adaptive(Estimator):
    """Adaptive grouping after Algorithm 3: train what the groups found so far leave open.

    It is not the paper's algorithm, which `paper_adaptive` is: runs are chosen by what they can tell and
    judged one by one. Batches of tasks are placed among the groups of those before them; a step ends when
    the groups are stable.
    Tasks that come into the study later are placed among the groups of the others.
    """

    finds_groups: ClassVar[bool] = True

    subset_size: TaskCount = 3
    """Tasks in a subset, the paper's alpha."""
    batch: PositiveInt | None = None
    """Tasks taken up in a step, the paper's b; by default a fifth of all, and at least 100."""
    runs_per_task: PositiveFloat = 5.0
    """Most runs for each task, the paper's m / b; stable groups take fewer."""
    k_max: PositiveInt | None = None
    """Most groups to try; by default max(10, 1.5 sqrt(n))."""
    stability: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of resamples of the runs in which the group of a stable task stays the likeliest."""
    resamples: PositiveInt = 20
    """How many resamples."""
    steps_per_task: PositiveInt = 32
    """Training steps of a run for each task of its subset."""
    alone: bool = True
    """Whether every task is also trained alone, to measure gains from."""

    @property
    def task_steps(self) -> int:
        """Training steps of a run for each task of its subset."""
        return self.steps_per_task

    def runs(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """Return as many runs as the budget allows, on made-up subsets."""
        tasks = tuple(learner.tasks)
        self._planner(len(tasks), seed)
        budget = int(self.runs_per_task * len(tasks) + 1e-9)
        company = tuple(sorted(tasks[: self.subset_size]))
        return [*self._alone(tasks, seed), *(self._fit(company, seed + i) for i in range(budget))]

    def plan_notes(self, learner: Learner) -> tuple[str, ...]:
        """Say that the runs are the most there can be."""
        return ("Adaptive grouping is counted with its whole budget; stable groups end it earlier.",)

    def rounds(
        self, learner: Learner, seed: int, arrivals: Sequence[Sequence[str]], memory: Memory | None = None
    ) -> Rounds:
        """Ask for what the planner asks for, until all tasks that have arrived are in stable groups."""
        batches = enough(arrivals, self.subset_size)
        planner, past = self._planner(len(batches[0]), seed), Past(batches[:1])
        records: dict[GroupingStudyRun, RunRecord] = {}
        if self.alone:
            records |= yield Round(self._alone(learner.tasks, seed))
        options = [self.plain(), seed]
        kept = recall(memory, options, learner, batches, self._fit) if memory else None
        if kept is not None and kept.state is not None:
            found = yield Round(kept.runs)
            if kept.agrees(found):
                planner.load_state_dict(kept.state)
                past, records = kept, {**records, **found}
        while True:
            while len(subsets := planner.ask()):
                names, asked = past.names, past.asked
                runs = []
                for subset in subsets:
                    members = tuple(sorted(names[i] for i in np.flatnonzero(subset)))
                    runs.append(self._fit(members, seed + asked[members]))
                    asked[members] += 1
                found = yield Round(runs, _progress(past.rounds + 1, planner))
                planner.tell(past.told(runs, found))
                past.note(runs)
                records |= found
                if memory is not None:
                    past.save(memory, options, learner, planner)
            if len(past.batches) == len(batches):
                return self._finish(learner, planner, past.names, records)
            past.batches.append(batches[len(past.batches)])
            planner.add_tasks(len(past.batches[-1]))

    def _planner(self, n: int, seed: int) -> AdaptiveGrouping:
        return AdaptiveGrouping(
            n,
            partial(_proposals, seed),
            size=self.subset_size,
            batch=self.batch,
            runs_per_task=self.runs_per_task,
            k_max=self.k_max,
            stability=self.stability,
            n_resamples=self.resamples,
            seed=seed,
        )

    def _fit(self, subset: Subset, seed: int) -> FitRun:
        return FitRun(subset, seed, self.steps_per_task * len(subset), "validation")

    def _alone(self, tasks: Sequence[str], seed: int) -> list[FitRun]:
        return [self._fit((task,), seed) for task in tasks] if self.alone else []

    def _finish(
        self, learner: Learner, planner: AdaptiveGrouping, names: list[str], records: Records
    ) -> Estimate:
        """Put the planner's groups in the learner's order of tasks, with what the runs measured."""
        table = RunTable.of(learner.tasks, records)
        place = {name: i for i, name in enumerate(names)}
        order = [place[name] for name in learner.tasks]
        affinity = higher_order(table.membership, table.scores)
        found = FoundGroups(
            labels=first_appearance(planner.labels_[order]),
            confidence=planner.confidence_[order],
            resamples=self.resamples,
            matrix=_thetas(table),
            steps=(
                "Theta of the linear surrogate over the noise of a run took the place of Eq. 6, because the "
                "company of a task was chosen; pairs that never met are 0.",
            ),
            method="adaptive",
        )
        return Estimate(
            affinity,
            estimator=f"adaptive, {planner.n_runs_:,} runs on {self.subset_size} tasks each",
            unit="mean validation score of the task over the runs with the other, higher is better",
            single=table.single,
            gains=table.gains(affinity),
            found=found,
            notes=(*table.notes, *_end(planner, names)),
        )


def _proposals(
    seed: int, matrix: Array, labels: NDArray[np.intp], k_min: int, k_max: int
) -> Iterator[NDArray[np.intp]]:
    """Group by the semidefinite program (Procedure 1), from the current groups, into more and more."""
    iterations = _ITERATIONS if len(matrix) <= _ITERATED_UP_TO else 1
    for k in range(k_min, k_max + 1):
        grouper = CertifiedGrouping(
            k, tol=1e-3, max_iter=iterations, exact_max=0, warm_start=labels, random_state=seed
        )
        yield grouper.fit(matrix).labels_


def _thetas(table: RunTable) -> Array:
    """Theta over the noise of each task's runs, 0 where nothing was measured."""
    seen = np.flatnonzero(table.membership.any(0))
    surrogate = LinearSurrogate().fit(table.membership[:, seen], table.scores[:, seen])
    theta = np.nan_to_num(surrogate.theta_.matrix)
    theta /= np.where(surrogate.noise_ > 0, surrogate.noise_, 1.0)[:, None]
    matrix = np.zeros((len(table.tasks), len(table.tasks)))
    matrix[np.ix_(seen, seen)] = theta
    return matrix


def _progress(number: int, planner: AdaptiveGrouping) -> str:
    taken = int((planner.labels_ >= 0).sum())
    stable = taken - len(planner.unstable)
    return (
        f"round {number}: {planner.n_runs_} runs so far, {stable} of {taken} tasks taken up are in a stable "
        f"group, {len(planner.labels_) - taken} wait"
    )


def _end(planner: AdaptiveGrouping, names: Sequence[str]) -> tuple[str, ...]:
    """Say how many runs stability saved, and which tasks have no stable group."""
    saved, spent = planner.saved_runs, planner.n_runs_
    ended = f"Adaptive grouping took {spent:,} runs; its budget of {spent + saved:,} was " + (
        f"not needed: stable groups saved {saved:,} runs." if saved else "spent."
    )
    if not len(planner.unstable):
        return (ended,)
    named = ", ".join(names[i] for i in planner.unstable[:_NAMED])
    more = f" and {len(planner.unstable) - _NAMED} more" if len(planner.unstable) > _NAMED else ""
    return (ended, f"Other runs could have put these tasks into other groups: {named}{more}.")
