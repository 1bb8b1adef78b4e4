"""Render a retention report and write it."""

from __future__ import annotations

import os
from pathlib import Path

from cotune._files import write_text
from cotune.report._retention_data import RetentionData


def render_retention_report(data: RetentionData) -> str:
    """Render a retention report as one HTML page without scripts or remote resources.

    The same data give the same text, byte for byte.

    Parameters
    ----------
    data : RetentionData
        What to show; what was not measured is left out or said to be missing.

    Returns
    -------
    str
        The page.

    Raises
    ------
    InputError
        If the parts contradict each other: no target, a run of an unknown method, draws that do not agree.
    """
    # Drawing needs matplotlib, which whoever only fills in a RetentionData shall not wait for.
    from cotune.report._retention_render import render

    return render(data)


def write_retention_report(data: RetentionData, path: str | os.PathLike[str]) -> Path:
    """Render a retention report and write it to ``path``, all of it or nothing.

    Parameters
    ----------
    data : RetentionData
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
    write_text(target, render_retention_report(data))
    return target
