"""``cotune group``: groups from any score table or affinity matrix, no model needed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from cotune.cli._options import JsonOption
from cotune.exceptions import InputError, SettingError

SECONDS_BETWEEN = 2.0
"""Seconds between two lines of progress."""


def group(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV, TSV or Parquet. A score table: a column for every task, a row for every run, "
            "blank where a task was not in the run; or a row for every score, with columns that name run, "
            "task and score. Or an affinity matrix with task names: rows are the tasks that are helped "
            "(targets), columns those that help.",
        ),
    ],
    k: Annotated[str, typer.Option("-k", "--n-clusters", help="Number of groups, or auto.")] = "auto",
    k_max: Annotated[int | None, typer.Option(help="Largest number of groups tried by auto.")] = None,
    k_rule: Annotated[
        Literal["evidence", "entry_cv", "bic", "average_density", "summed_density"] | None,
        typer.Option(help="Rule of auto; evidence by default, average_density is the paper's."),
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
        Literal["row_zscore", "two_way", "none"] | None,
        typer.Option(help="How rows are put on one scale; row_zscore by default."),
    ] = None,
    rounding: Annotated[
        Literal["best", "kmeans", "agglomerative", "threshold", "row_threshold"] | None,
        typer.Option(help="How the solution becomes groups; best by default, threshold is the paper's."),
    ] = None,
    rounding_c: Annotated[
        float | None, typer.Option(help="Where the two thresholds cut: at c / n, by default 1.")
    ] = None,
    missing: Annotated[
        Literal["refuse", "complete"],
        typer.Option(help="Pairs without a number: refuse, or complete them by row and column means."),
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
        int | None,
        typer.Option(
            min=0,
            help="Resamples of a score table's runs to judge how stable the groups by density are; 0: none. "
            "By default 100 where those are the answer.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="COLUMN", help="Take a column for a task. May be repeated."),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", metavar="NAME", help="Leave out a column or a task. May be repeated."),
    ] = None,
    subset_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that lists the tasks a run trained, such as rte+cb."),
    ] = None,
    kind: Annotated[
        Literal["affinity matrix", "score table"] | None,
        typer.Option(help="What a square table without names on its rows is."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Which metric, or column of scores, where there are several.")
    ] = None,
    decimal: Annotated[
        Literal["point", "comma"] | None,
        typer.Option(help="The decimal sign, where the numbers do not tell."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the group of every task as CSV.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with the groups and figures (HTML).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Group the tasks of a score table or an affinity matrix.

    Says how the table was read: what was taken for a task and what was left out. A table that can be read in
    two ways is refused, with the option that settles it.
    """
    import cotune
    from cotune._files import write_text
    from cotune.affinity import read_table
    from cotune.cli._progress import emit
    from cotune.cli._weights import read_weights

    ticker = _Ticker()
    try:
        table = read_table(
            file,
            lower_is_better=lower_is_better,
            kind=kind,
            tasks=task or (),
            leave_out=leave_out or (),
            subset_column=subset_column,
            metric=metric,
            decimal=decimal,
        )
        groups = cotune.group(
            table,
            n_clusters=_number_of_groups(k, len(table.tasks)),
            k_max=k_max,
            k_rule=k_rule,
            objective=objective,
            scale=scale,
            rounding=rounding,
            rounding_c=rounding_c,
            missing=missing,
            weights=read_weights(weights or ()),
            unit=unit,
            resamples=resamples,
            callback=ticker.proving,
            k_callback=ticker.choosing,
        )
    except SettingError as error:
        raise InputError(error.on_command_line()) from error
    if out is not None:
        from cotune.studies.grouping import groups_csv

        write_text(out, groups_csv(groups))
    if report is not None:
        from cotune.studies.grouping import write_table_report

        write_table_report(groups, table, report, title=file.name)
    if as_json:
        emit(groups.to_dict())
        return
    for line in groups.sentences():
        print(line)
    for what, path in (("groups", out), ("report", report)):
        if path is not None:
            print(f"{what}: {path}")


class _Ticker:
    """Tells on the error stream how a long grouping goes; nothing of a short one, however slow its start."""

    def __init__(self) -> None:
        self._told: float | None = None
        self._looked_at = 0

    def choosing(self, k: int, objective: float) -> None:
        self._looked_at += 1
        self._tell(f"choosing the number of groups: {self._looked_at} looked at, the latest k = {k}")

    def proving(self, iteration: int, objective: float, bound: float) -> None:
        self._tell(f"iteration {iteration}: objective {objective:.6g}, upper bound {bound:.6g}")

    def _tell(self, sentence: str) -> None:
        now = time.monotonic()
        if self._told is None:
            self._told = now
        if now - self._told >= SECONDS_BETWEEN:
            self._told = now
            print(sentence, file=sys.stderr, flush=True)


def _number_of_groups(k: str, n: int) -> int | Literal["auto"]:
    if k == "auto":
        return "auto"
    if not k.lstrip("-").isdigit() or not 1 <= int(k) <= n:
        raise InputError(
            f"The number of groups -k must be auto or from 1 to the number of tasks {n}, got {k}."
        )
    return int(k)
