"""Groups of any score table or affinity matrix: no study, no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cotune._config import parse
from cotune.affinity import Table, read_table, table_of
from cotune.exceptions import InputError, SettingError
from cotune.grouping import Progress
from cotune.studies.grouping._grouping import RESAMPLES, choose_groups, group_tasks
from cotune.studies.grouping._groups import Groups
from cotune.studies.grouping._objective import settle_objective
from cotune.studies.grouping.grouping_config import THRESHOLDS, GroupingConfig


def group(
    table: Table | str | Path | ArrayLike,
    *,
    tasks: Sequence[str] | None = None,
    n_clusters: int | Literal["auto"] = "auto",
    k_max: int | None = None,
    k_rule: str | None = None,
    lower_is_better: bool = False,
    objective: Literal["auto", "gain", "density"] = "auto",
    scale: str | None = None,
    rounding: str | None = None,
    rounding_c: float | None = None,
    missing: str = "refuse",
    weights: Mapping[str, float] | None = None,
    unit: str | None = None,
    resamples: int | None = None,
    seed: int = 0,
    callback: Progress | None = None,
    k_callback: Callable[[int, float], object] | None = None,
) -> Groups:
    """Group the tasks of a score table or an affinity matrix, with a proof of how good the groups are.

    What ``cotune group`` does. Needs no model.

    Parameters
    ----------
    table : str, Path, array_like or Table
        A file (see :func:`cotune.affinity.read_table`, which has options for tables that can be read in two
        ways); or numbers: a square array is an affinity matrix,
        row i the task that is helped, and any other a score table with a row for every run, NaN where a task
        was not in the run. For a score table that happens to be square, give
        ``cotune.affinity.table_of(scores, kind="score table")``.
    tasks : sequence of str, optional
        Names of the columns of an array, by default those of a data frame, or else task-0 and so on. A file
        names its own.
    n_clusters : int or "auto"
        Number of groups; "auto" chooses it from the data.
    k_max : int, optional
        Largest number tried by "auto".
    k_rule : {"evidence", "entry_cv", "bic", "average_density", "summed_density"}, optional
        How "auto" chooses; by default by the evidence of a block model.
    lower_is_better : bool
        Whether the numbers are losses. A :class:`~cotune.affinity.Table` has been told when it was made.
    objective : {"auto", "gain", "density"}
        What groups are chosen by: the gain that runs predict over training each task alone, or the density
        of the affinities. "auto" is gain where a table holds runs of every task alone and of some together.
    scale : {"row_zscore", "two_way", "none"}, optional
        How rows are put on one scale, by default row_zscore. Like ``k_max``, ``k_rule`` and ``rounding`` it
        is of groups by density: where one of them is given, "auto" is density.
    rounding : {"best", "kmeans", "agglomerative", "threshold", "row_threshold"}, optional
        How the solution of the semidefinite program becomes groups, by default the best way; "threshold" is
        the paper's.
    rounding_c : float, optional
        Where the two thresholds cut: at c / n, by default 1.
    missing : {"refuse", "complete"}
        What happens to pairs without a number.
    weights : mapping of str to float, optional
        What a gain of a task is worth, 1 for those that are not named; of groups by gain alone.
    unit : {"own_score", "noise"}, optional
        What gains are measured in, by default shares of the task's score alone; see
        :func:`cotune.affinity.task_gains`.
    resamples : int, optional
        Resamples of a score table's runs that judge the stability of the groups by density; 0 for none. By
        default 100 where those are the answer, and none where they are set beside.
    seed : int
        Of the heuristics' random starts.
    callback, k_callback : callable, optional
        Called now and then with the iteration, the objective and the bound; and after every k tried, with k
        and the objective.

    Returns
    -------
    Groups
        ``members`` has the tasks of every group, ``labels`` the group of every task, ``objective``, ``gap``
        and ``certified`` the proof, ``sentences()`` all of it in words.

    Raises
    ------
    InputError
        If the table is not usable, or an option does not fit it.

    Examples
    --------
    >>> import cotune
    >>> groups = cotune.group([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], tasks="abcd")
    >>> groups.members
    [('a', 'b'), ('c', 'd')]
    """
    if resamples is not None and resamples < 0:
        raise InputError(f"The number of resamples must be 0 or more, got {resamples}.")
    read = _table(table, tasks, lower_is_better)
    options = {
        "objective": objective,
        "n_clusters": n_clusters,
        "k_max": k_max,
        "k_rule": k_rule,
        "scale": scale,
        **_rounding(rounding, rounding_c),
        "missing": missing,
        "weights": dict(weights or {}),
        "unit": unit,
    }
    config = parse(GroupingConfig, options, "cotune group")
    inside = None if read.scores is None else ~np.isnan(read.scores)
    chosen = settle_objective(config, read.tasks, inside, where="cotune group: ")

    def by_density(config: GroupingConfig, k: int | None) -> Groups:
        return group_tasks(
            read.tasks,
            read.affinity,
            config,
            scale="row_zscore",
            seed=seed,
            baselines=False,
            scores=read.scores,
            resamples=(0 if chosen.by_gain else RESAMPLES) if resamples is None else resamples,
            callback=callback,
            k_callback=k_callback,
            source=f"{read.kind} of {read.n_runs} runs" if read.n_runs else read.kind,
        )

    if inside is None:  # nobody expects more of an affinity matrix
        chosen = replace(chosen, note="")
    groups = choose_groups(read.tasks, read.scores, config, chosen, by_density, seed=seed)
    return replace(groups, reading=read.notes)


def _rounding(name: str | None, c: float | None) -> dict[str, Any]:
    if name is None and c is None:
        return {}
    if c is not None and (c < 1 or name not in THRESHOLDS):
        raise SettingError(
            "{c} must be at least 1 and stand beside {one} or {other}.",
            c=("rounding_c", c),
            one=("rounding", "threshold"),
            other=("rounding", "row_threshold"),
        )
    return {"rounding": {"name": name} if c is None else {"name": name, "c": c}}


def _table(
    table: Table | str | Path | ArrayLike, tasks: Sequence[str] | None, lower_is_better: bool
) -> Table:
    if isinstance(table, Table):
        if tasks is not None or lower_is_better:
            raise InputError("A Table knows tasks and direction itself; leave out tasks and lower_is_better.")
        return table
    if isinstance(table, str | Path):
        if tasks is not None:
            raise InputError(f"The file {table} names its own tasks; leave out tasks.")
        return read_table(table, lower_is_better=lower_is_better)
    return table_of(table, tasks=tasks, lower_is_better=lower_is_better)
