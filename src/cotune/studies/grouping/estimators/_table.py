"""Runs and scores of a study as the matrices that ``cotune.affinity`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune.affinity import Affinity, gains
from cotune.exceptions import RunError
from cotune.studies.grouping._runs import FitRun
from cotune.studies.grouping.estimators._base import Array, Records
from cotune.training.learner import Learner


@dataclass(frozen=True)
class RunTable:
    """The fits among the runs of a study; failed ones are left out and counted.

    Parameters
    ----------
    tasks : tuple of str
        Names, in the order of the columns.
    membership : ndarray of bool, shape (m, n)
        Who was in each run of two tasks or more.
    scores : ndarray of shape (m, n)
        Their scores, higher is better, NaN outside the subsets.
    alone : ndarray of shape (n,)
        Mean score of each task trained alone, NaN where it was not.
    alone_stderr : ndarray of shape (n,)
        Its standard error over seeds; NaN below two.
    failed, total : int
        Fits that failed, and all.
    """

    tasks: tuple[str, ...]
    membership: NDArray[np.bool_]
    scores: Array
    alone: Array
    alone_stderr: Array
    failed: int
    total: int

    @classmethod
    def of(cls, tasks: Sequence[str], records: Records) -> RunTable:
        """Collect the fits among some runs."""
        place = {task: i for i, task in enumerate(tasks)}
        fits = [(run, record) for run, record in records.items() if isinstance(run, FitRun)]
        done = [(run, record) for run, record in fits if record.error is None]
        subsets = [(run, record) for run, record in done if len(run.subset) > 1]
        scores = np.full((len(subsets), len(place)), np.nan)
        membership = np.zeros(scores.shape, dtype=bool)
        for row, (run, record) in enumerate(subsets):
            columns = [place[task] for task in run.subset]
            membership[row, columns] = True
            scores[row, columns] = [record.scores[task].utility for task in run.subset]
        alone: list[list[float]] = [[] for _ in place]
        for run, record in done:
            if len(run.subset) == 1:
                alone[place[run.subset[0]]].append(record.scores[run.subset[0]].utility)
        mean = np.array([np.mean(values) if values else np.nan for values in alone])
        error = [np.std(v, ddof=1) / np.sqrt(len(v)) if len(v) > 1 else np.nan for v in alone]
        return cls(tuple(tasks), membership, scores, mean, np.array(error), len(fits) - len(done), len(fits))

    @property
    def single(self) -> Mapping[str, float]:
        """Score of each task alone, of those that were trained so."""
        known = np.isfinite(self.alone)
        return {task: float(self.alone[i]) for i, task in enumerate(self.tasks) if known[i]}

    @property
    def notes(self) -> tuple[str, ...]:
        """Say how many runs failed."""
        if not self.failed:
            return ()
        return (f"{self.failed} of {self.total} runs failed and are left out.",)

    def gains(self, affinity: Affinity) -> Affinity | None:
        """Subtract what each task scores alone from scores in company; None unless all are known."""
        if not np.isfinite(self.alone).all():
            return None
        return gains(affinity, self.alone, np.nan_to_num(self.alone_stderr))

    def require_all_tasks(self) -> RunTable:
        """Return itself if every task was in a run with others.

        Raises
        ------
        RunError
            If the runs of a task all failed.
        """
        missing = np.flatnonzero(~self.membership.any(0))
        if len(missing):
            raise RunError(
                f"All runs of the task {self.tasks[missing[0]]} with others failed, so its affinity is not "
                "known; see the errors of the runs, and try them again with --retry-failed."
            )
        return self


def told(tasks: Sequence[str], runs: Sequence[FitRun], records: Records) -> Array:
    """Return the scores of runs in their order, shape (m, n); rows of failed ones are NaN."""
    place = {task: i for i, task in enumerate(tasks)}
    scores = np.full((len(runs), len(place)), np.nan)
    for row, run in zip(scores, runs, strict=True):
        for task, score in records[run].scores.items():
            row[place[task]] = score.utility
    return scores


def run_scores(tasks: Sequence[str], records: Records) -> Array | None:
    """Return the scores of all fits among some runs, those of single tasks too; None where there are none.

    Parameters
    ----------
    tasks : sequence of str
        Names, in the order of the columns.
    records : mapping of run to RunRecord
        Those that failed are left out.

    Returns
    -------
    ndarray of shape (m, n) or None
        Higher is better, NaN where a task was not in the run.
    """
    place = {task: i for i, task in enumerate(tasks)}
    fits = [(run, record) for run, record in records.items() if isinstance(run, FitRun)]
    if not fits:
        return None
    done = [(run, record) for run, record in fits if record.error is None]
    scores = np.full((len(done), len(place)), np.nan)
    for row, (run, record) in enumerate(done):
        scores[row, [place[task] for task in run.subset]] = [record.scores[t].utility for t in run.subset]
    return scores


def arrays_by_task(learner: Learner, records: Records) -> list[Mapping[str, NDArray[np.floating]]]:
    """Return what was measured of each task, in the learner's order.

    Raises
    ------
    RunError
        If it could not be measured.
    """
    by_task = {run.subset[0]: record for run, record in records.items() if not isinstance(run, FitRun)}
    for task in learner.tasks:
        if by_task[task].error is not None:
            raise RunError(f"The gradient of task {task} could not be had: {by_task[task].error}")
    return [by_task[task].arrays for task in learner.tasks]
