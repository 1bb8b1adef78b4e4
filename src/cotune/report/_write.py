"""Render a report and write it."""

from __future__ import annotations

import os
from pathlib import Path

from cotune._files import write_text
from cotune.report._data import ReportData


def render_report(data: ReportData) -> str:
    """Render a report as one HTML page without scripts or remote resources.

    The same data give the same text, byte for byte.

    Parameters
    ----------
    data : ReportData
        What to show; parts that are ``None`` or empty are said to be missing or left out.

    Returns
    -------
    str
        The page.

    Raises
    ------
    InputError
        If the parts contradict each other: no tasks, groups that are no partition, a matrix of another size.
    """
    # Drawing needs matplotlib, which whoever only fills in a ReportData shall not wait for.
    from cotune.report._render import render

    return render(data)


def write_report(data: ReportData, path: str | os.PathLike[str]) -> Path:
    """Render a report and write it to ``path``, all of it or nothing.

    Parameters
    ----------
    data : ReportData
        What to show.
    path : path-like
        The HTML file; its folder is made where it does not exist, an older file is replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the parts of the report contradict each other; then nothing is written.
    """
    target = Path(path)
    write_text(target, render_report(data))
    return target
