"""What a retention study found, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cotune.report import RetentionCheckpoint, RetentionData, RetentionRun


def kept_share(checkpoint: RetentionCheckpoint, data: RetentionData) -> float:
    """Return the in-context score at the most shots as a share of the pretrained model's.

    Both are means over the evaluation tasks whose metric is better when higher; NaN where there are none or
    the pretrained model cannot do any of them.
    """
    usable = {task.name for task in data.evaluation if task.higher_is_better}
    before = _in_context(data.pretrained, usable)
    return _in_context(checkpoint, usable) / before if before else float("nan")


def summary_lines(data: RetentionData) -> list[str]:
    """Return a table of methods and learning rates: at equal target score, and at each run's best."""
    shots = max((value.shots for value in data.pretrained.in_context), default=0)
    usable = {task.name for task in data.evaluation if task.higher_is_better}
    before = f"{_in_context(data.pretrained, usable):.3f}"
    lines = [f"pretrained: {shots}-shot score {before} over {len(usable)} tasks; shares of it that are kept:"]
    width = max(len(label) for label in data.methods)
    reached = "" if data.threshold is None else f"{data.threshold:.3g}"
    header = (
        f"{'method':<{width}}  {'rate':>7}  {'target':>6}  {f'kept at {reached}':<20}  target  kept at best"
    )
    lines.append(header)
    for method in data.methods:
        for rate in data.learning_rates:
            runs = [run for run in data.runs if run.method == method and run.learning_rate == rate]
            if runs:
                equal = _columns(runs, data, lambda run: run.equal)
                best = _columns(runs, data, lambda run: run.best)
                lines.append(
                    f"{method:<{width}}  {rate:>7.0e}  {equal[0]:>6}  {equal[1]:<20}  {best[0]:>6}  {best[1]}"
                )
    return lines


def _columns(
    runs: Sequence[RetentionRun], data: RetentionData, choose: Callable[[RetentionRun], int | None]
) -> tuple[str, str]:
    """Return the mean test score of the target, and what every seed kept."""
    chosen = [run.checkpoints[at] for run in runs if (at := choose(run)) is not None]
    if not chosen:
        return "-", "never reached"
    target = np.mean([np.mean([score.test for score in checkpoint.targets]) for checkpoint in chosen])
    kept = " ".join(f"{kept_share(checkpoint, data):.2f}" for checkpoint in chosen)
    missing = len(runs) - len(chosen)
    return f"{target:.3f}", kept + (f" ({missing} never)" if missing else "")


def _in_context(checkpoint: RetentionCheckpoint, usable: set[str]) -> float:
    shots = max((value.shots for value in checkpoint.in_context), default=0)
    scores = [
        float(np.mean(value.draws))
        for value in checkpoint.in_context
        if value.shots == shots and value.task in usable
    ]
    return float(np.mean(scores)) if scores else float("nan")
