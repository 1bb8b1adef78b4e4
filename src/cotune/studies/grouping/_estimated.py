"""Groups of what the affinity stage of a study gave, and what they are chosen by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cotune.grouping import CertifiedGrouping, Prepared, prepare
from cotune.studies.grouping._found import FoundGroups
from cotune.studies.grouping._grouping import choose_groups, group_tasks, other_groups
from cotune.studies.grouping._groups import Groups, OtherGroups
from cotune.studies.grouping._kept import Kept
from cotune.studies.grouping._objective import Objective, settle_objective
from cotune.studies.grouping._runs import FitRun, GroupingStudyRun
from cotune.studies.grouping.config import GroupingStudyConfig
from cotune.studies.grouping.estimators import ESTIMATORS, Estimate
from cotune.studies.grouping.grouping_config import GroupingConfig

_FOUND_ITERATIONS = 30
"""Iterations spent on a bound for groups that were found otherwise."""


def objective_of(
    config: GroupingStudyConfig, tasks: Sequence[str], inside: NDArray[np.bool_] | None, file: str = ""
) -> Objective:
    """Settle what the groups of a study are chosen by, before or after its runs.

    Parameters
    ----------
    config : GroupingStudyConfig
        The study's.
    tasks : sequence of str
        All tasks.
    inside : ndarray of bool, shape (m, n), or None
        Which tasks each run of the affinity stage trains; None where it trains none.
    file : str
        The study's file, for errors.

    Raises
    ------
    InputError
        As :func:`settle_objective`.
    """
    name = ESTIMATORS.name_of(config.affinity)
    return settle_objective(
        config.grouping,
        tasks,
        inside,
        bare=f"the estimator {name} trains no subsets of tasks",
        found=f"the estimator {name}" if config.affinity.finds_groups else "",
        where=f"{file}: grouping." if file else "grouping.",
    )


def trained_by(tasks: Sequence[str], runs: Iterable[GroupingStudyRun]) -> NDArray[np.bool_] | None:
    """Return which tasks the fits among some runs train, shape (m, n); None where there are none."""
    place = {task: i for i, task in enumerate(tasks)}
    fits = [run for run in runs if isinstance(run, FitRun)]
    inside = np.zeros((len(fits), len(place)), dtype=bool)
    for row, run in zip(inside, fits, strict=True):
        row[[place[task] for task in run.subset]] = True
    return inside if fits else None


def group_estimate(
    tasks: tuple[str, ...],
    estimate: Estimate,
    config: GroupingStudyConfig,
    *,
    runs: NDArray[np.float64] | None = None,
    baselines: bool = True,
    kept: Kept | None = None,
) -> Groups:
    """Group tasks by what the affinity stage of a study gave, or take the groups its estimator found.

    Parameters
    ----------
    tasks : tuple of str
        Names, in the order of the matrix.
    estimate : Estimate
        What the affinity stage gave.
    config : GroupingStudyConfig
        The study's.
    runs : ndarray of shape (m, n), optional
        Scores of all its runs, see :func:`choose_groups`; None if it trained none.
    baselines : bool
        Whether other groupers are set beside.
    kept : Kept, optional
        Has what was worked out of the same runs before.

    Raises
    ------
    InputError
        As :func:`group_tasks`, and if gain is asked for and unknown.
    """

    def by_density(grouping: GroupingConfig, k: int | None) -> Groups:
        if estimate.found is not None:
            return _found_groups(tasks, estimate.found, config.seed, baselines, k)
        return group_tasks(
            tasks,
            estimate.affinity,
            grouping,
            scale=config.affinity.scale,
            seed=config.seed,
            baselines=baselines,
            k_baselines=k,
            scores=estimate.scores,
            source=estimate.estimator,
            kept=kept,
        )

    inside = None if runs is None else ~np.isnan(runs)
    chosen = objective_of(config, tasks, inside)
    return choose_groups(
        tasks,
        runs,
        config.grouping,
        chosen,
        by_density,
        predictors=estimate.gain_predictors,
        seed=config.seed,
        kept=kept,
    )


def _found_groups(
    tasks: tuple[str, ...], found: FoundGroups, seed: int, baselines: bool, k_baselines: int | None
) -> Groups:
    prepared = prepare(found.matrix, scale="none")
    k = int(found.labels.max()) + 1
    # Only its bound and its groups beside the found ones matter here, not a proof to the last digit.
    clustering = CertifiedGrouping(
        k, tol=1e-3, max_iter=_FOUND_ITERATIONS, warm_start=found.labels, random_state=seed
    )
    clustering.fit(prepared.matrix)
    sdp = tuple(int(label) for label in clustering.labels_)
    others: tuple[OtherGroups, ...] = (OtherGroups("sdp", sdp, float(clustering.objective_)),)
    if baselines:
        others += other_groups(prepared.matrix, k_baselines or k, seed)
    steps = (*found.steps, *prepared.steps)
    return Groups(tasks, Prepared(prepared.matrix, steps), clustering, others, found=found)
