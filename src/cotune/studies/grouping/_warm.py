"""What a warm start left of the order of subsets."""

from __future__ import annotations

import math
from dataclasses import replace

from cotune.affinity import reliability
from cotune.studies.grouping.estimators import Estimate
from cotune.studies.grouping.estimators._base import Records
from cotune.studies.grouping.estimators._table import RunTable
from cotune.training.learner import Learner
from cotune.training.varied import WarmLearner


def judge_start(learner: Learner, estimate: Estimate, records: Records) -> Estimate:
    """Say whether runs from a warm start still tell one company from another; nothing of cold ones.

    A model that has seen all tasks may learn too little more in a run for company to show.
    """
    if not isinstance(learner, WarmLearner) or learner.start is None:
        return estimate
    table = RunTable.of(learner.tasks, records)
    if not len(table.scores):
        return estimate
    found = reliability(table.membership, table.scores)
    if math.isnan(found.share):
        return replace(estimate, notes=(*estimate.notes, _UNKNOWN))
    by = "runs of one subset agree on" if found.repeated else "companions explain"
    told = f"{by} {found.share:.0%} of how a task's scores differ between {len(table.scores)} runs"
    if found.beyond_chance:
        note = f"From the warm start, {told}."
    else:
        note = (
            f"From the warm start the order of subsets is noise: {told}, no more than chance would; lower "
            "warm_start.share, raise steps_per_task, or add seeds."
        )
    return replace(estimate, notes=(*estimate.notes, note))


_UNKNOWN = (
    "Whether the order of subsets from the warm start is noise cannot be told: no two of a task's runs share "
    "a companion; set affinity.seeds to 2 or more."
)
