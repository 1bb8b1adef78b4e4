"""In which order tasks are shown: group by group, or those that lose most first where they are many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cotune.findings.comparison import Comparison

MANY = 40
"""Tasks beyond which tables are folded, and what loses most comes first."""


def losses_first(names: Sequence[str], gains: Mapping[str, float]) -> list[str]:
    """Order many tasks by their gains, unknown ones last; a few stay as they are.

    Parameters
    ----------
    names : sequence of str
        The tasks, group by group.
    gains : mapping of str to float
        What each gains; NaN, or none, where it is unknown.
    """
    if len(names) <= MANY:
        return list(names)
    known = {name: gains.get(name, math.nan) for name in names}
    return sorted(names, key=lambda name: (math.isnan(known[name]), known[name]))


def least_gains(comparison: Comparison) -> dict[str, float]:
    """Return what each task gains over the best of the other ways, over all budgets."""
    least: dict[str, float] = {}
    for gain in comparison.gains:
        if gain.budget is None and not math.isnan(gain.gain.mean):
            least[gain.task] = min(gain.gain.mean, least.get(gain.task, math.inf))
    return least
