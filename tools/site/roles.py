"""Docstrings name other code as Sphinx does (``:func:`name```): these names become links."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:py:)?(?:attr|class|data|exc|func|meth|mod|obj):`(~?)([\w.]+)`")


class Roles(griffe.Extension):
    """Put links in the place of roles, in every docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(lambda role: _link(role, obj), obj.docstring.value)


def _link(role: re.Match[str], obj: griffe.Object) -> str:
    short, name = role.groups()
    shown = name.rsplit(".", 1)[-1] if short else name
    try:
        full = name if name.startswith("cotune") else obj.resolve(name)
    except griffe.NameResolutionError:
        return f"`{shown}`"
    # Optional: what is on no page stays a name, without a warning.
    return f'<autoref optional identifier="{full}"><code>{shown}</code></autoref>'
