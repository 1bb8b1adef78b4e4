"""Groups by predicted gain in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cotune.affinity.gain_units import GainUnit
from cotune.findings.grouping import Interval, PredictedGains, TriedPredictor, gain_text, interval_text
from cotune.grouping.gain_partition import MOST_TASKS
from cotune.studies.grouping._gain import LEVEL, GainGroups

NAMED = 5
"""Most tasks that are named in a line."""

_UNITS: dict[GainUnit, str] = {
    "own_score": "gains over each task's score alone, in shares of that score",
    "noise": "gains over each task's score alone, in standard deviations between runs of one subset (sd)",
}


def describe_units(tasks: Sequence[str], groups: GainGroups) -> list[str]:
    """Say what gains are measured in and what they are predicted by."""
    prediction = groups.prediction
    lines = [_UNITS[groups.gains.unit]]
    weights = dict(zip(tasks, groups.weights.tolist(), strict=True))
    if len(set(weights.values())) > 1:
        named = _named([f"{task} {weight:g}" for task, weight in weights.items() if weight != 1.0])
        others = ", all others 1" if 1.0 in weights.values() else ""
        lines.append(f"a task is worth: {named}{others}")
    if groups.gains.spread_tasks:
        named = _named([tasks[i] for i in groups.gains.spread_tasks])
        lines.append(f"scores alone near 0: gains in standard deviations of all scores for {named}")
    tested = _sizes(prediction.tested_sizes_)
    words = prediction.words[prediction.chosen_]
    if not prediction.tested_sizes_:
        lines.append(f"predicted by {words}; no run could be held out to test it")
    elif prediction.fell_back_:
        lines.append(f"predicted by {words}: nothing did better on held-out runs of {tested} tasks")
    else:
        share = f"{100 * prediction.explained_:.0f} %"
        lines.append(f"predicted by {words}, which explain {share} of how held-out runs differ")
    if not groups.exact:
        lines.append(
            f"more than {MOST_TASKS} tasks: partitions are searched, and a group that was run is predicted "
            "like any other"
        )
    beyond = sorted(set(np.bincount(groups.labels).tolist()) - {1, *prediction.tested_sizes_})
    if prediction.tested_sizes_ and beyond:
        lines.append(f"no run of {_sizes(beyond)} tasks could be held out: gains of such groups extrapolate")
    return lines


def describe_gain(tasks: Sequence[str], groups: GainGroups) -> list[str]:
    """Say what the groups are predicted to gain, what no others exceed, and who would lose."""
    unit = groups.gains.unit
    proof = "no partition is predicted to gain more" if groups.optimal else "others may gain more"
    if groups.undecided and not groups.optimal:
        proof = "what others are predicted to gain more is not told from chance, and not taken"
    lines = [predicted_gain(groups), f"upper bound {gain_text(groups.bound, unit)}: {proof}"]
    losing = sorted(
        (gain.value, task) for task, gain in zip(tasks, groups.by_task, strict=True) if gain.high < 0
    )
    if losing:
        named = _named([f"{task} ({gain_text(value, unit)})" for value, task in losing])
        lines.append(f"predicted to lose: {named}")
    return lines


def predicted_gain(groups: GainGroups) -> str:
    """Say the predicted gain over each alone and over all together."""
    unit, k, n = groups.gains.unit, max(groups.labels) + 1, len(groups.labels)
    if k == n:
        together = gain_text(groups.together, unit)
        return f"each alone is predicted best; all together would gain {together} a task"
    over_alone = f"predicted gain {interval(groups.over_alone, unit)} a task over each alone"
    return over_alone if k == 1 else f"{over_alone}, {interval(groups.over_together, unit)} over all together"


def predicted_gains(
    tasks: Sequence[str], groups: GainGroups, objective: float, of_density: float
) -> PredictedGains:
    """Return what a report shows of them.

    Parameters
    ----------
    tasks : sequence of str
        Names.
    groups : GainGroups
        The groups of largest predicted gain.
    objective : float
        Sum of their densities.
    of_density : float
        Predicted gain of the groups by density beside them.
    """
    prediction, weights = groups.prediction, groups.weights.tolist()
    return PredictedGains(
        unit=groups.gains.unit,
        level=LEVEL,
        over_alone=groups.over_alone,
        over_together=groups.over_together,
        together=groups.together,
        upper_bound=groups.bound,
        optimal=groups.optimal,
        by_task=groups.by_task,
        weights=tuple(weights) if len(set(weights)) > 1 else (),
        tested_sizes=prediction.tested_sizes_,
        predictors=tuple(
            TriedPredictor(
                name=held.name,
                words=prediction.words[held.name],
                errors=tuple(held.error[size] for size in prediction.tested_sizes_),
                chosen=held.name == prediction.chosen_,
            )
            for held in prediction.held_out_
        ),
        sentence=predicted_gain(groups),
        sentences=tuple(
            f"{line[0].upper()}{line[1:]}."
            for line in (*describe_units(tasks, groups), *describe_gain(tasks, groups))
        ),
        objective=objective,
        of_density=of_density,
    )


def interval(gain: Interval, unit: GainUnit) -> str:
    """Write a gain with its interval."""
    return interval_text(gain, unit, LEVEL)


def _sizes(sizes: Sequence[int]) -> str:
    return ", ".join(str(size) for size in sizes)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
