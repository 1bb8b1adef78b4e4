"""``cotune group``: groups from any score table or affinity matrix, no model needed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cotune.exceptions import InputError


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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
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
    groups = group_tasks(
        table.tasks, table.affinity, config, scale=scale, baselines=False, callback=_Ticker()
    )
    if as_json:
        emit(groups.to_dict())
        return
    runs = f" of {table.n_runs} runs" if table.n_runs else ""
    print(f"{len(table.tasks)} tasks, {table.kind}{runs}")
    for step in groups.prepared.steps:
        print(f"  {step}")
    for line in describe_groups(groups.members):
        print(line)
    clustering = groups.clustering
    proof = "certified optimal" if clustering.certified_ else f"gap {clustering.gap_:.2g}"
    if clustering.status_ in ("interrupted", "max_iter", "time_limit"):
        proof += f" ({clustering.status_.replace('_', ' ')}; the bound holds)"
    chosen = f" (chosen by {clustering.k_rule})" if n_clusters == "auto" else ""
    print(
        f"k = {clustering.n_clusters_}{chosen}, objective {clustering.objective_:.6g}, "
        f"upper bound {clustering.upper_bound_:.6g}, {proof}"
    )


class _Ticker:
    """Tells on the error stream how a long grouping goes; nothing of a short one."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, iteration: int, objective: float, bound: float) -> None:
        if time.monotonic() - self._told >= 2.0:
            self._told = time.monotonic()
            print(
                f"iteration {iteration}: objective {objective:.6g}, upper bound {bound:.6g} "
                "(Ctrl-C ends with the best so far)",
                file=sys.stderr,
                flush=True,
            )


def _number_of_groups(k: str, n: int) -> int | str:
    if k == "auto":
        return k
    if not k.lstrip("-").isdigit() or not 1 <= int(k) <= n:
        raise InputError(
            f"The number of groups -k must be auto or from 1 to the number of tasks {n}, got {k}."
        )
    return int(k)
