"""What is measured along the last stage of a run, and its mean over runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cotune._repr import Brief
from cotune.findings.retention._records import RetentionCheckpoint, RetentionRun

Points = tuple[tuple[float, float], ...]
CheckpointValue = Callable[[RetentionCheckpoint], float]
"""Something of a checkpoint; NaN where it was not measured."""


@dataclass(frozen=True, slots=True)
class StepCurve(Brief):
    """A value by step.

    Parameters
    ----------
    mean : tuple of (float, float)
        Step and mean over the runs, at every step that all of them have measured.
    runs : tuple of tuple of (float, float)
        The same of each run that has measured it at all.
    """

    mean: Points
    runs: tuple[Points, ...]


def along_steps(runs: Sequence[RetentionRun], value: CheckpointValue) -> StepCurve | None:
    """Average over the runs at every step that all of them have measured; None where none has."""
    curves = [{c.step: y for c in last_stage(run) if math.isfinite(y := value(c))} for run in runs]
    curves = [curve for curve in curves if curve]
    if not curves:
        return None
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return StepCurve(
        mean=tuple((float(step), fmean(curve[step] for curve in curves)) for step in steps),
        runs=tuple(tuple((float(step), y) for step, y in sorted(curve.items())) for curve in curves),
    )


def last_stage(run: RetentionRun) -> list[RetentionCheckpoint]:
    """Return the checkpoints of the last stage."""
    return [c for c in run.checkpoints if c.stage == run.checkpoints[-1].stage]


def target_score(checkpoint: RetentionCheckpoint) -> float:
    """Average the test scores of the targets; NaN where none was measured."""
    return fmean(score.test for score in checkpoint.targets) if checkpoint.targets else math.nan
