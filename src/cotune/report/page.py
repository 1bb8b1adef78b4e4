"""Render findings as a page and write it."""

from __future__ import annotations

import importlib
import os
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cotune._files import write_text
from cotune._neutral import visible
from cotune.report import palette

if TYPE_CHECKING:
    import jinja2

    from cotune.findings.functions import FunctionsFindings
    from cotune.findings.grouping import GroupingFindings
    from cotune.findings.preview import Preview
    from cotune.findings.retention import RetentionFindings
    from cotune.findings.transfer import TransferFindings

    AnyFindings: TypeAlias = (
        GroupingFindings | RetentionFindings | TransferFindings | FunctionsFindings | Preview
    )

_SECTIONS = {
    "FunctionsFindings": "functions",
    "GroupingFindings": "grouping",
    "Preview": "preview",
    "RetentionFindings": "retention",
    "TransferFindings": "transfer",
}
"""The modules that draw findings, by the names of their classes: no kind needs what another is made of."""


def render_report(findings: AnyFindings) -> str:
    """Render a report as one HTML page without scripts or remote resources.

    The same findings give the same text, byte for byte.

    Parameters
    ----------
    findings : GroupingFindings, RetentionFindings, TransferFindings, FunctionsFindings or Preview
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
    section = importlib.import_module(f"cotune.report.{_SECTIONS[type(findings).__name__]}")
    template: jinja2.Template = _environment().get_template(section.TEMPLATE)
    return template.render(section.context(findings))


def write_report(findings: AnyFindings, path: str | os.PathLike[str]) -> Path:
    """Render a report and write it to ``path``, all of it or nothing.

    Parameters
    ----------
    findings : GroupingFindings, RetentionFindings, TransferFindings, FunctionsFindings or Preview
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
    write_text(target, render_report(findings))
    return target


@cache
def _environment() -> jinja2.Environment:
    """Make the templates' environment: everything is escaped, and what is missing is an error."""
    import jinja2
    import markupsafe

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("cotune.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = lambda name: markupsafe.escape(visible(str(name))).replace(
        "_", markupsafe.Markup("_<wbr>")
    )
    made.globals["colours"] = markupsafe.Markup(palette.css())
    made.filters["sha256"] = lambda text: b64encode(sha256(text.encode()).digest()).decode()
    made.filters["brief"] = _brief
    made.filters["px"] = lambda value: f"{value:.1f}".removesuffix(".0")
    return made


def _brief(text: str, letters: int = 150) -> str:
    """Return the beginning of a text in one line, cut between words."""
    words = " ".join(text.split())
    return words if len(words) <= letters else f"{words[:letters].rpartition(' ')[0] or words[:letters]} …"
