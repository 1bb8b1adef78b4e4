"""The report of a table alone: no study stands behind it, and nothing was trained."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from cotune._files import csv_text
from cotune.affinity import Table
from cotune.findings.grouping import AffinityData, GroupingFindings, TaskRow
from cotune.report import write_report
from cotune.studies.grouping._groups import Groups
from cotune.studies.grouping._shown import grouping_data, shown_matrix

_UNITS = {
    "score table": "mean score of task i over runs with task j (Eq. 6), losses negated",
    "affinity matrix": "as in the table",
}


def write_table_report(groups: Groups, table: Table, path: Path, *, title: str) -> Path:
    """Write the report of the groups of a table.

    Parameters
    ----------
    groups : Groups
        What :func:`cotune.group` made of it.
    table : Table
        The table.
    path : Path
        The HTML file.
    title : str
        Of the page, such as the table's file name.
    """
    matrix, steps = shown_matrix(groups)
    affinity = AffinityData(
        matrix=table.affinity.matrix.tolist(),
        unit=_UNITS[table.kind],
        prepared=matrix,
        steps=steps,
        counts=table.affinity.counts.tolist() if table.n_runs else None,
        stderr=table.affinity.stderr.tolist() if table.n_runs else None,
        estimator=groups.source,
    )
    findings = GroupingFindings(
        title=title,
        date=date.today().isoformat(),
        tasks=tuple(
            TaskRow(name=name, metric="", train=None, validation=None, test=None) for name in table.tasks
        ),
        affinity=affinity,
        grouping=grouping_data(groups, given="given"),
        provenance=(("table", title), ("holds", groups.source)),
        notes=tuple(f"{note[0].upper()}{note[1:]}." for note in groups.reading),
    )
    return write_report(findings, path)


def groups_csv(groups: Groups) -> str:
    """Return a line for every task with the number of its group, as CSV."""
    return csv_text(
        ["task", "group"],
        ([task, str(label)] for task, label in zip(groups.tasks, groups.labels, strict=True)),
    )
