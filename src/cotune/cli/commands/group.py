"""``cotune group``: groups from any score table or affinity matrix, no model needed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from cotune.cli._options import JsonOption
from cotune.exceptions import InputError

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
            help="Rule of auto: evidence (default), entry_cv, bic, average_density (the paper's) or "
            "summed_density."
        ),
    ] = None,
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="The numbers are losses.")
    ] = False,
    objective: Annotated[
        Literal["auto", "gain", "density"],
        typer.Option(
            help="What groups are chosen by: the predicted gain over training each task alone (default where "
            "runs train every task alone), or the density of the affinities, which is set beside."
        ),
    ] = "auto",
    scale: Annotated[
        str | None,
        typer.Option(help="How rows are put on one scale: row_zscore (default), two_way or none."),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="Pairs without a number: refuse, or complete them by row and column means.")
    ] = "refuse",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK=NUMBER|FILE.csv",
            help="What a gain of a task is worth, 1 unless given; can be repeated. A file holds a task and a "
            "number on each line.",
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            help="What gains are measured in: own_score (shares of the task's score alone, default) or noise "
            "(standard deviations between runs of one subset)."
        ),
    ] = None,
    resamples: Annotated[
        int,
        typer.Option(
            min=0, help="Resamples of a score table's runs to judge the groups' stability; 0: none."
        ),
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Group the tasks of a score table or an affinity matrix."""
    import cotune
    from cotune.affinity import read_table
    from cotune.cli._progress import emit
    from cotune.cli._weights import read_weights

    table = read_table(file, lower_is_better=lower_is_better)
    ticker = _Ticker()
    groups = cotune.group(
        table,
        n_clusters=_number_of_groups(k, len(table.tasks)),
        k_max=k_max,
        k_rule=k_rule,
        objective=objective,
        scale=scale,
        missing=missing,
        weights=read_weights(weights or ()),
        unit=unit,
        resamples=resamples,
        callback=ticker.proving,
        k_callback=ticker.choosing,
    )
    if as_json:
        emit(groups.to_dict())
        return
    for line in groups.sentences():
        print(line)


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
            print(f"{sentence}", file=sys.stderr, flush=True)


def _number_of_groups(k: str, n: int) -> int | Literal["auto"]:
    if k == "auto":
        return "auto"
    if not k.lstrip("-").isdigit() or not 1 <= int(k) <= n:
        raise InputError(
            f"The number of groups -k must be auto or from 1 to the number of tasks {n}, got {k}."
        )
    return int(k)
