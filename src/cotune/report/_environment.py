"""The environment that all reports' templates are rendered in."""

from __future__ import annotations

from functools import cache

import jinja2
import markupsafe


@cache
def environment() -> jinja2.Environment:
    """Return it: everything is escaped, and what is missing is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("cotune.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = lambda name: markupsafe.escape(name).replace("_", markupsafe.Markup("_<wbr>"))
    made.filters["px"] = lambda value: f"{value:.1f}".removesuffix(".0")
    return made
