"""Groups by predicted gain in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cotune.studies.grouping._gain import LEVEL, Gain, GainGroups

NAMED = 5
"""Most tasks that are named in a line."""


def describe_units(tasks: Sequence[str], groups: GainGroups) -> list[str]:
    """Say what gains are measured in and what they are predicted by."""
    prediction = groups.prediction
    lines = ["gains over each task's score alone, in shares of that score"]
    if groups.gains.spread_tasks:
        named = _named([tasks[i] for i in groups.gains.spread_tasks])
        lines.append(f"scores alone near 0: gains in standard deviations of all scores for {named}")
    tested = _sizes(prediction.tested_sizes_)
    words = prediction.predictor.words
    if not prediction.tested_sizes_:
        lines.append(f"predicted by {words}; no run could be held out to test it")
    elif prediction.fell_back_:
        lines.append(f"predicted by {words}: nothing did better on held-out runs of {tested} tasks")
    else:
        share = f"{100 * prediction.explained_:.0f} %"
        lines.append(f"predicted by {words}, which explain {share} of how held-out runs differ")
    beyond = sorted(set(np.bincount(groups.labels).tolist()) - {1, *prediction.tested_sizes_})
    if prediction.tested_sizes_ and beyond:
        lines.append(f"no run of {_sizes(beyond)} tasks could be held out: gains of such groups extrapolate")
    return lines


def describe_gain(tasks: Sequence[str], groups: GainGroups) -> list[str]:
    """Say what the groups are predicted to gain, what no others exceed, and who would lose."""
    k, n = max(groups.labels) + 1, len(groups.labels)
    if k == n:
        gain = f"each alone is predicted best; all together would gain {_percent(groups.together)} a task"
    elif k == 1:
        gain = f"predicted gain {_interval(groups.over_alone)} a task over each alone"
    else:
        gain = (
            f"predicted gain {_interval(groups.over_alone)} a task over each alone, "
            f"{_interval(groups.over_together)} over all together"
        )
    proof = "no partition is predicted to gain more" if groups.optimal else "others may gain more"
    lines = [gain, f"upper bound {_percent(groups.bound)}: {proof}"]
    losing = sorted(
        (gain.value, task) for task, gain in zip(tasks, groups.by_task, strict=True) if gain.high < 0
    )
    if losing:
        lines.append(
            f"predicted to lose: {_named([f'{task} ({_percent(value)})' for value, task in losing])}"
        )
    return lines


def _interval(gain: Gain) -> str:
    if np.isnan(gain.low):
        return f"{_percent(gain.value)} (interval unknown)"
    return (
        f"{_percent(gain.value)} ({100 * LEVEL:.0f} % interval {_percent(gain.low)} to {_percent(gain.high)})"
    )


def _percent(share: float) -> str:
    return f"{100 * share + 0.0:+.2f} %"


def _sizes(sizes: Sequence[int]) -> str:
    return ", ".join(str(size) for size in sizes)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
