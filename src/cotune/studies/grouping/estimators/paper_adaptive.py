from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from cotune.affinity import AdaGroup, higher_order
from cotune.exceptions import InputError
from cotune.grouping import CertifiedGrouping, first_appearance, prepare
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
from cotune.studies.grouping.estimators._table import RunTable, told
from cotune.studies.grouping.estimators._trained import TaskCount, enough
from cotune.training.learner import Learner, Subset

_TOL, _ITERATIONS = 1e-4, 2000


class PaperAdaptive(Estimator):
    """Adaptive grouping as AdaGroup prints it (Procedure 2, Algorithm 3), to be compared with `adaptive`.

    Each step takes up a part of the tasks and trains random subsets of them and of one random group found
    before; Eq. 6, the semidefinite program from the groups before, the number of groups of the largest value,
    and the threshold follow.
    """

    finds_groups: ClassVar[bool] = True
    most_groups: ClassVar[str] = "k"

    k: PositiveInt
    """Final number of groups; the threshold may give more or fewer."""
    subset_size: TaskCount = 3
    """Tasks in a subset, the paper's alpha (3, 5 or 10)."""
    adaptive_steps: PositiveInt | None = None
    """Steps, the paper's s (10, 5 or 3), each with its part of the tasks; by default 10, or as many as let
    each take up a whole subset."""
    subsets: PositiveInt | None = None
    """Subsets trained in a step, the paper's m; by default five for each task that it takes up."""
    rounding: Literal["row_threshold", "threshold"] = "row_threshold"
    """How the solution X is cut: row by row, as the authors' code does it (but no task is dropped), or so
    that all that are linked share a group."""
    c: Annotated[float, Field(ge=1)] = 1.5
    """Tasks share a group where X is above c / n; the paper says that c is at least 1."""
    matrix: Literal["raw", "prepared"] = "raw"
    """What is clustered: Eq. 6 in the tasks' own units with 0 for pairs that never met, as in the authors'
    code, or with rows on one scale and such pairs completed."""
    steps_per_task: PositiveInt = 32
    """Training steps of a run for each task of its subset."""
    alone: bool = True
    """Whether every task is also trained alone, to measure gains from."""

    @property
    def task_steps(self) -> int:
        """Training steps of a run for each task of its subset."""
        return self.steps_per_task

    def runs(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """Return as many runs as there are, on made-up subsets."""
        tasks = tuple(learner.tasks)
        company = tuple(sorted(tasks[: self.subset_size]))
        count = self.planner(len(tasks), seed).runs_left
        return [*self._alone(tasks, seed), *(self._fit(company, seed + i) for i in range(count))]

    def rounds(
        self, learner: Learner, seed: int, arrivals: Sequence[Sequence[str]], memory: Memory | None = None
    ) -> Rounds:
        """Ask for the runs of a step, group, and go on; tasks that came later are steps of their own."""
        first, *later = enough(arrivals, self.subset_size)
        planner = self.planner(len(first), seed)
        names, asked = list(first), Counter[Subset]()
        records: dict[GroupingStudyRun, RunRecord] = {}
        if self.alone:
            records |= yield Round(self._alone(learner.tasks, seed))
        while True:
            while len(subsets := planner.ask()):
                runs = []
                for subset in subsets:
                    members = tuple(sorted(names[i] for i in np.flatnonzero(subset)))
                    runs.append(self._fit(members, seed + asked[members]))
                    asked[members] += 1
                done, left = planner.n_runs_, planner.runs_left
                found = yield Round(
                    runs, f"step {len(planner.values_) + 1}: {done} runs so far, {left} to come"
                )
                planner.tell(told(names, runs, found))
                records |= found
            if not later:
                return self._finish(learner, planner, names, records)
            names += later[0]
            planner.add_tasks(len(later.pop(0)))

    def planner(self, n: int, seed: int) -> AdaGroup:
        """Return what decides which subsets of n tasks are trained.

        Raises
        ------
        InputError
            If an option does not fit the number of tasks.
        """
        try:
            return AdaGroup(
                n,
                self._relax,
                k=self.k,
                adaptive_steps=self.adaptive_steps,
                subsets=self.subsets,
                size=self.subset_size,
                seed=seed,
            )
        except InputError as error:
            raise InputError(f"affinity: {error}") from error

    def _relax(self, matrix: Array, start: Array, k: int) -> tuple[NDArray[np.intp], float]:
        """Solve Eq. 5 from the groups before and round the solution (Procedure 1)."""
        grouping = CertifiedGrouping(
            k,
            rounding=self.rounding,
            rounding_c=self.c,
            warm_start=start,
            tol=_TOL,
            max_iter=_ITERATIONS,
            exact_max=0,
        )
        grouping.fit(self._clustered(matrix))
        return grouping.labels_, grouping.sdp_value_

    def _clustered(self, matrix: Array) -> Array:
        if self.matrix == "raw":
            return np.nan_to_num(matrix)
        # A task none of whose runs came about says nothing: a row without variation.
        return prepare(
            np.where(np.isnan(matrix).all(axis=1, keepdims=True), 0.0, matrix), missing="complete"
        ).matrix

    def _fit(self, subset: Subset, seed: int) -> FitRun:
        return FitRun(subset, seed, self.steps_per_task * len(subset), "validation")

    def _alone(self, tasks: Sequence[str], seed: int) -> list[FitRun]:
        return [self._fit((task,), seed) for task in tasks] if self.alone else []

    def _finish(self, learner: Learner, planner: AdaGroup, names: list[str], records: Records) -> Estimate:
        """Put the groups in the learner's order of tasks, with what the runs measured."""
        table = RunTable.of(learner.tasks, records)
        place = {name: i for i, name in enumerate(names)}
        order = [place[name] for name in learner.tasks]
        affinity = higher_order(table.membership, table.scores)
        step = (
            "Eq. 6 in the tasks' own units, 0 for pairs that never met."
            if self.matrix == "raw"
            else "Eq. 6, rows on one scale, pairs that never met completed."
        )
        found = FoundGroups(
            labels=first_appearance(planner.labels_[order]),
            confidence=None,
            resamples=0,
            matrix=self._clustered(affinity.matrix),
            steps=(step,),
            method="paper_adaptive",
        )
        return Estimate(
            affinity,
            estimator=f"paper_adaptive (Algorithm 3), {planner.n_runs_:,} runs on {self.subset_size} tasks",
            unit="mean validation score of the task over the runs with the other, higher is better",
            single=table.single,
            gains=table.gains(affinity),
            found=found,
            notes=(*table.notes, *self._told(planner, affinity.n_missing)),
        )

    def _told(self, planner: AdaGroup, missing: int) -> tuple[str, ...]:
        n, k = len(planner.labels_), int(planner.labels_.max()) + 1
        pairs = n * (n - 1) // 2
        runs = f"the {planner.n_runs_:,} runs of Algorithm 3"
        notes = [f"Of {pairs:,} pairs of tasks {missing:,} never met in {runs}."]
        if k != self.k:
            notes.append(f"The threshold at {self.c:g} / n made {k} groups where {self.k} were asked for.")
        return tuple(notes)
