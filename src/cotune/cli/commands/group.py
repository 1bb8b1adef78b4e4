"""``cotune group``: groups from any score table or affinity matrix, no model needed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cotune.cli._options import JsonOption
from cotune.exceptions import InputError

if TYPE_CHECKING:
    from cotune.grouping import SDPClustering, Stability

NAMED = 5
"""Most tasks that are called unsure by name."""

SECONDS_BETWEEN = 2.0
"""Seconds between two lines of progress."""


def group(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="A score table (a column for every task, a row for every run, blank where a task was not in "
            "the run; or the columns run, task, score), or a square affinity matrix with task names.",
        ),
    ],
    k: Annotated[str, typer.Option("-k", "--n-clusters", help="Number of groups, or auto.")] = "auto",
    k_max: Annotated[int | None, typer.Option(help="Largest number of groups tried by auto.")] = None,
    k_rule: Annotated[
        str | None,
        typer.Option(
            help="Rule of auto: entry_cv (default up to 100 tasks), bic (default beyond), average_density "
            "(the paper's) or summed_density."
        ),
    ] = None,
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="The numbers are losses.")
    ] = False,
    scale: Annotated[
        str, typer.Option(help="How rows are put on one scale: row_zscore, two_way or none.")
    ] = "row_zscore",
    missing: Annotated[
        str, typer.Option(help="Pairs without a number: refuse, or complete them by row and column means.")
    ] = "refuse",
    resamples: Annotated[
        int,
        typer.Option(
            min=0, help="Resamples of a score table's runs to judge the groups' stability; 0: none."
        ),
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Group the tasks of a score table or an affinity matrix."""
    from cotune._config import parse
    from cotune.affinity import read_table
    from cotune.cli._progress import emit
    from cotune.studies.grouping import GroupingConfig, describe_groups, group_tasks

    table = read_table(file, lower_is_better=lower_is_better)
    n_clusters = _number_of_groups(k, len(table.tasks))
    options = {"n_clusters": n_clusters, "k_max": k_max, "k_rule": k_rule}
    options |= {"scale": scale, "missing": missing}
    config = parse(GroupingConfig, options, "cotune group")
    ticker = _Ticker()
    groups = group_tasks(
        table.tasks,
        table.affinity,
        config,
        scale=scale,
        baselines=False,
        scores=table.scores,
        resamples=resamples,
        callback=ticker.proving,
        k_callback=ticker.choosing,
    )
    if as_json:
        emit(groups.to_dict())
        return
    runs = f" of {table.n_runs} runs" if table.n_runs else ""
    print(f"{len(table.tasks)} tasks, {table.kind}{runs}")
    for line in (*(f"  {step}" for step in groups.prepared.steps), *describe_groups(groups.members)):
        print(line)
    print(_proof(groups.clustering, n_clusters == "auto"))
    if groups.stability is not None:
        print(_sureness(groups.tasks, groups.stability))


def _proof(clustering: SDPClustering, chosen: bool) -> str:
    """K, objective and bound, and what ended the proof."""
    proof = "certified optimal" if clustering.certified_ else f"gap {clustering.gap_:.2g}"
    by = f" (chosen by {clustering.k_rule_})" if chosen else ""
    if clustering.status_ == "interrupted" and clustering.k_path_ and not clustering.n_iter_:
        by = f" (the best by {clustering.k_rule_} of the {len(clustering.k_path_)} tried until interrupted)"
    elif clustering.status_ in ("interrupted", "max_iter", "time_limit"):
        proof += f" ({clustering.status_.replace('_', ' ')}; the bound holds)"
    return (
        f"k = {clustering.n_clusters_}{by}, objective {clustering.objective_:.6g}, "
        f"upper bound {clustering.upper_bound_:.6g}, {proof}"
    )


def _sureness(tasks: Sequence[str], stability: Stability) -> str:
    """How often resamples of the runs left the tasks in their groups."""
    resamples = f"{len(stability.n_clusters)} resamples of the runs"
    unsure = sorted(
        (share, task) for task, share in zip(tasks, stability.confidence, strict=True) if share < 0.9
    )
    if not unsure:
        return f"stability: every task stays in its group in at least 90 % of {resamples}"
    named = ", ".join(f"{task} ({100 * share:.0f} %)" for share, task in unsure[:NAMED])
    more = f" and {len(unsure) - NAMED} more" if len(unsure) > NAMED else ""
    return (
        f"stability: {len(tasks) - len(unsure)} of {len(tasks)} tasks stay in their group in at least 90 % "
        f"of {resamples}; least sure: {named}{more}"
    )


class _Ticker:
    """Tells on the error stream how a long grouping goes; nothing of a short one."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def choosing(self, k: int, objective: float) -> None:
        self._tell(f"choosing the number of groups: {k} tried, objective {objective:.6g}")

    def proving(self, iteration: int, objective: float, bound: float) -> None:
        self._tell(f"iteration {iteration}: objective {objective:.6g}, upper bound {bound:.6g}")

    def _tell(self, sentence: str) -> None:
        if time.monotonic() - self._told >= SECONDS_BETWEEN:
            self._told = time.monotonic()
            print(f"{sentence} (Ctrl-C ends with the best so far)", file=sys.stderr, flush=True)


def _number_of_groups(k: str, n: int) -> int | str:
    if k == "auto":
        return k
    if not k.lstrip("-").isdigit() or not 1 <= int(k) <= n:
        raise InputError(
            f"The number of groups -k must be auto or from 1 to the number of tasks {n}, got {k}."
        )
    return int(k)
