"""Render a report and write it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TypeAlias

from cotune._files import write_text
from cotune.report._data import ReportData
from cotune.report._functions_data import FunctionsData
from cotune.report._retention_data import RetentionData
from cotune.report._transfer_study_data import TransferData

AnyReport: TypeAlias = ReportData | RetentionData | TransferData | FunctionsData

_RENDERERS: dict[type[AnyReport], str] = {
    FunctionsData: "_functions_render",
    ReportData: "_render",
    RetentionData: "_retention_render",
    TransferData: "_transfer_study_render",
}
"""The modules that draw, which need matplotlib: whoever only fills in the data shall not wait for it."""


def render_report(data: AnyReport) -> str:
    """Render a report as one HTML page without scripts or remote resources.

    The same data give the same text, byte for byte.

    Parameters
    ----------
    data : ReportData, RetentionData, TransferData or FunctionsData
        What to show; what was not measured is left out or said to be missing.

    Returns
    -------
    str
        The page.

    Raises
    ------
    InputError
        If the parts contradict each other: groups that are no partition, a run of an unknown method.
    """
    renderer = importlib.import_module(f"cotune.report.{_RENDERERS[type(data)]}")
    page: str = renderer.render(data)
    return page


def write_report(data: AnyReport, path: str | os.PathLike[str]) -> Path:
    """Render a report and write it to ``path``, all of it or nothing.

    Parameters
    ----------
    data : ReportData, RetentionData, TransferData or FunctionsData
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
