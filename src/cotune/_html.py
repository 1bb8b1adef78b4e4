"""How objects show themselves in notebooks: small tables and heat maps that need no style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

MOST = 40
"""Rows and columns that are shown."""

_ABOVE, _BELOW = (33, 102, 172), (178, 24, 43)
"""Blue and red of equal weight, told apart by the colour-blind; half transparent on any background."""

_CELL = "width:1.1em;height:1.1em;min-width:1.1em;padding:0;border:0"


def paragraphs(lines: Iterable[str], title: str = "") -> str:
    """Return a title and lines as HTML."""
    head = f"<strong>{escape(title)}</strong>" if title else ""
    body = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return f"<div>{head}{body}</div>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table of the first rows, and say how many there are."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in row)}</tr>" for row in rows[:MOST])
    more = f"<div>{MOST} of {len(rows)} rows</div>" if len(rows) > MOST else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def heat_map(names: Sequence[str], values: NDArray[np.float64], starts: Iterable[int] = ()) -> str:
    """Return a square matrix as an HTML table of colours, row i the task that is helped.

    Parameters
    ----------
    names : sequence of n str
        In the order shown.
    values : ndarray of shape (n, n)
        Blue above the median off the diagonal, red below; nothing where unknown.
    starts : iterable of int
        Where groups begin, which a line is drawn before.
    """
    shown = np.asarray(values, float)[:MOST, :MOST]
    off = values[~np.eye(len(values), dtype=bool)] if len(values) > 1 else np.ravel(values)
    known = off[np.isfinite(off)]
    centre = float(np.median(known)) if len(known) else 0.0
    reach = float(np.quantile(np.abs(known - centre), 0.95)) if len(known) else 0.0
    begins = {start for start in starts if start}
    rows = []
    for i, row in enumerate(shown):
        cells = "".join(_cell(names, i, j, value, centre, reach, begins) for j, value in enumerate(row))
        rows.append(
            f'<tr><th style="text-align:right;font-weight:normal">{escape(names[i])}</th>{cells}</tr>'
        )
    more = f"<div>the first {MOST} of {len(values)} tasks</div>" if len(values) > MOST else ""
    return f'<table style="border-collapse:collapse"><tbody>{"".join(rows)}</tbody></table>{more}'


def _cell(
    names: Sequence[str], i: int, j: int, value: float, centre: float, reach: float, begins: set[int]
) -> str:
    edges = (
        f"{';border-top:2px solid' if i in begins else ''}{';border-left:2px solid' if j in begins else ''}"
    )
    if math.isnan(value):
        return f'<td style="{_CELL}{edges}" title="{escape(names[j])} to {escape(names[i])}: unknown"></td>'
    red, green, blue = _ABOVE if value >= centre else _BELOW
    share = min(abs(value - centre) / reach, 1.0) if reach else 0.0
    colour = f"background:rgba({red},{green},{blue},{share:.2f})"
    text = f"{escape(names[j])} to {escape(names[i])}: {value:.4g}"
    return f'<td style="{_CELL};{colour}{edges}" title="{text}"></td>'
