"""What the groups were predicted to gain beside what the comparison measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cotune._files import write_text
from cotune.findings.comparison import (
    ArmScore,
    Comparison,
    MeasuredGain,
    arm_words,
    budget_words,
    measured_gain,
)
from cotune.findings.grouping import Interval, interval_text, measured_text
from cotune.studies.engine import cell, csv_text
from cotune.studies.grouping._comparison import TrainedArm
from cotune.studies.grouping._gain import LEVEL, GainGroups


def measure_gains(
    tasks: Sequence[str],
    gain: GainGroups,
    scores: Sequence[ArmScore],
    arms: Sequence[TrainedArm],
    comparison: Comparison,
) -> tuple[MeasuredGain, ...]:
    """Set predicted and measured gains side by side, by budget, over each alone and over all together.

    Parameters
    ----------
    tasks : sequence of str
        Names, in the order of the prediction.
    gain : GainGroups
        The prediction, whose units and weights are those of what is measured.
    scores : sequence of ArmScore
        Test scores.
    arms : sequence of TrainedArm
        What was trained; an arm that is trained otherwise than the groups is left out.
    comparison : Comparison
        What the scores say.
    """
    predicted: dict[str, Interval] = {"single": gain.over_alone, "joint": gain.over_together}
    k = max(gain.labels) + 1
    same = {"single": k == len(gain.labels), "joint": k == 1}
    plain = {arm.title for arm in arms if arm.variation.is_none}
    units = dict(zip(tasks, gain.gains.units.tolist(), strict=True))
    weights = dict(zip(tasks, gain.weights.tolist(), strict=True))
    rows = []
    for arm in predicted:
        if arm not in plain or arm not in comparison.arms:
            continue
        over = predicted[arm]
        for budget in comparison.budgets:
            found = measured_gain(scores, arm, budget, units=units, weights=weights)
            if found is None:
                continue
            pairs = [g for g in comparison.gains if (g.arm, g.budget) == (arm, budget)]
            measured = None if same[arm] else found
            rows.append(MeasuredGain(arm, budget, over.value, over.low, over.high, measured, len(pairs)))
    return tuple(rows)


def describe_measured(rows: Sequence[MeasuredGain], unit: str) -> list[str]:
    """Say what was predicted and what was measured, a line each."""
    lines = []
    for row in rows:
        if row.measured is None:
            continue
        predicted = interval_text(Interval(value=row.predicted, low=row.low, high=row.high), unit, LEVEL)
        lines.append(
            f"at {budget_words(row.budget)}, gain over {arm_words(row.arm)}: predicted {predicted}, "
            f"measured {measured_text(row.measured, unit)}"
        )
    return lines


def write_measured(folder: Path, rows: Sequence[MeasuredGain], unit: str) -> None:
    """Write ``predicted_gains.csv``, or take an old one away where nothing was predicted and measured."""
    file = folder / "predicted_gains.csv"
    if not rows:
        file.unlink(missing_ok=True)
        return
    header = [
        "gain_over",
        "steps_per_task",
        "unit",
        "predicted",
        "low",
        "high",
        "measured",
        "margin",
        "tasks",
    ]
    lines = [
        [
            row.arm,
            row.budget,
            unit,
            *map(cell, (row.predicted, row.low, row.high)),
            *_measured(row),
            row.tasks,
        ]
        for row in rows
    ]
    write_text(file, csv_text(header, lines))


def _measured(row: MeasuredGain) -> list[object]:
    return ["", ""] if row.measured is None else [cell(row.measured.mean), cell(row.measured.margin)]
