"""Render a transfer study's report and write it."""

from __future__ import annotations

import os
from pathlib import Path

from cotune._files import write_text
from cotune.report._transfer_study_data import TransferData


def render_transfer_report(data: TransferData) -> str:
    """Render the report of a transfer study as one HTML page without scripts or remote resources.

    The same data give the same text, byte for byte.

    Parameters
    ----------
    data : TransferData
        What to show; what was not measured is left out or said to be missing.
    """
    # Drawing needs matplotlib, which whoever only fills in a TransferData shall not wait for.
    from cotune.report._transfer_study_render import render

    return render(data)


def write_transfer_report(data: TransferData, path: str | os.PathLike[str]) -> Path:
    """Render the report of a transfer study and write it to ``path``, all of it or nothing.

    Parameters
    ----------
    data : TransferData
        What to show.
    path : path-like
        The HTML file; its folder is made where it does not exist, an older file is replaced.

    Returns
    -------
    Path
        The file written.
    """
    target = Path(path)
    write_text(target, render_transfer_report(data))
    return target
