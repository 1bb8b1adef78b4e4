"""Which difference between arms a comparison can tell, said before it is run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cotune.findings.comparison import (
    Comparison,
    Look,
    MeanWithMargin,
    choosable,
    detectable,
    foreseen,
)
from cotune.findings.wording import count, significant
from cotune.studies.grouping._until import seeds_at_looks
from cotune.studies.grouping.config import ComparisonConfig
from cotune.tasks import Task

BETWEEN_SEEDS, ON_AN_EXAMPLE = 0.02, 0.5
"""Assumed standard deviations, in the metric's units, of the difference of two arms: of its mean over tasks
between training seeds, and on a test example. Where arms disagree on a quarter of right or wrong answers, the
second is 0.5."""


def detect_note(
    config: ComparisonConfig, tasks: Sequence[Task], most: int, measured: Comparison | None
) -> str:
    """Say which difference between arms can be told, and by what it is known.

    Parameters
    ----------
    config : ComparisonConfig
        Seeds and arms.
    tasks : sequence of Task
        The study's; empty for a learner that brings its own.
    most : int
        Most seeds that there can be.
    measured : Comparison or None
        What stored runs say, if there are some with two seeds.
    """
    arms = choosable([arm.title for arm in config.every_arm])
    if len(arms) < 2:
        return ""
    if most < 2:
        return "With one seed no difference between arms can be told."
    if measured is not None and (known := _widest(measured, arms)) is not None:
        gain, metric, why = known, measured.metrics[0].name, "by the spread of the runs that are stored"
    elif tasks:
        metric, number = Counter(task.metric for task in tasks).most_common(1)[0]
        gain = _assumed([len(task["test"]) for task in tasks if task.metric == metric], config.seeds)
        why = (
            f"if their mean over {count(number, 'task')} varies by {BETWEEN_SEEDS} between seeds and the "
            f"scores by {ON_AN_EXAMPLE} on a test example, which is assumed, as no runs are stored"
        )
    else:
        return "Which difference between arms can be told is not known before runs are stored."
    pairs = len(arms) * (len(arms) - 1) // 2
    looks = seeds_at_looks(config.seeds, most) if config.until else (most,)
    look = Look(len(looks), looks, {})
    found = detectable(foreseen(gain, most), look.significance(0.05 / pairs))
    return (
        f"With {count(most, 'seed')} the comparison can tell differences of about {significant(found, 2)} "
        f"{metric} between arms in four studies of five, {why}."
    )


def _widest(measured: Comparison, arms: Sequence[str]) -> MeanWithMargin | None:
    """Return the difference over all budgets that the runs know least of; None where they know of none."""
    metric = measured.metrics[0].name
    gains = [c.gain for c in measured.contrasts if (c.budget, c.metric) == (None, metric) and c.arm in arms]
    known = [gain for gain in gains if math.isfinite(gain.margin) and gain.margin > 0]
    return max(known, key=lambda gain: gain.stderr, default=None)


def _assumed(examples: Sequence[int], seeds: int) -> MeanWithMargin:
    n, total = len(examples), sum(examples)
    variance = sum(1 / each for each in examples) * ON_AN_EXAMPLE**2 / n**2
    gain = MeanWithMargin(
        mean=0.0,
        se_examples=math.sqrt(variance),
        se_seeds=BETWEEN_SEEDS / math.sqrt(max(seeds, 2)),
        se_shared=0.0,
        dof_examples=max(total - n, 1),
        dof_seeds=max(seeds, 2) - 1,
        margin=math.nan,
        examples=total,
        example_sets=n,
        seeds=max(seeds, 2),
    )
    return replace(gain, margin=detectable(gain, 0.05))
