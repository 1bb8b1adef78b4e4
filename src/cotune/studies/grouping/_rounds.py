"""The affinity stage: rounds of runs, as many as the estimator asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cotune.exceptions import RunError
from cotune.studies.engine._runner import Runner, StoredRunner
from cotune.studies.engine._runs import RunRecord
from cotune.studies.grouping._arrivals import arrivals
from cotune.studies.grouping._design import AnyRun
from cotune.studies.grouping.estimators import Estimate, Memory

if TYPE_CHECKING:
    from cotune.studies.grouping._study import GroupingStudy

STAGE = "affinity"
"""The stage's title."""


@dataclass
class Gathered:
    """What the runs for the affinity gave so far.

    Parameters
    ----------
    records : dict of run to RunRecord
        The runs that are done.
    wanted : int
        Runs asked for up to now; after the last of a round there may be further rounds.
    estimate : Estimate or None
        The affinity, when no more runs are asked for.
    """

    records: dict[AnyRun, RunRecord] = field(default_factory=dict)
    wanted: int = 0
    estimate: Estimate | None = None


def gather(study: GroupingStudy, runner: Runner[AnyRun]) -> Gathered:
    """Get round after round of runs, up to one that is not complete.

    Raises
    ------
    RunError
        If all runs failed, or so many that the estimator can say nothing.
    """
    result = Gathered()
    names = arrivals(study.shared, study.learner.tasks)
    memory = Memory(study.shared / "rounds.npz", writable=not isinstance(runner, StoredRunner))
    rounds = study.config.affinity.rounds(study.learner, study.config.seed, names, memory)
    wanted: set[AnyRun] = set()
    try:
        asked = next(rounds)
        while True:
            found = runner.get(STAGE, asked.runs, note=asked.note)
            result.records |= found
            wanted |= set(asked.runs)
            result.wanted = len(wanted)
            if len(result.records) < result.wanted:
                return result
            _require_some(result.records)
            asked = rounds.send(found)
    except StopIteration as end:
        result.estimate = end.value
    return result


def _require_some(records: dict[AnyRun, RunRecord]) -> None:
    errors = [record.error for record in records.values() if record.error is not None]
    if len(errors) == len(records):
        raise RunError(f"All {len(records)} runs for the affinity failed, the first so: {errors[0]}")
