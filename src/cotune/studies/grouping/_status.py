from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotune.exceptions import RunError
from cotune.studies._runner import StoredRunner
from cotune.studies._status import StageStatus, Status
from cotune.studies._store import open_store
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._grouping import describe_groups, group_estimate
from cotune.studies.grouping._rounds import gather

if TYPE_CHECKING:
    from cotune.studies.grouping._study import GroupingStudy


@dataclass(frozen=True)
class GroupingStatus(Status):
    """How far a grouping study is.

    Parameters
    ----------
    groups : list of tuple of str, or None
        The groups, when affinity is complete.
    """

    groups: list[tuple[str, ...]] | None = None

    def sentences(self) -> Sequence[str]:
        """Name the groups, one a line."""
        return describe_groups(self.groups or [])


def grouping_status(study: GroupingStudy) -> GroupingStatus:
    """Look up which of a grouping study's runs are in its store; runs and writes nothing."""
    study.require_folder()
    config = study.config
    groups = None
    with open_store(study.store_path) as store:
        runner = StoredRunner(study, store)
        totals, estimate = [0], None
        try:
            gathered = gather(study, runner)
            totals, estimate = [gathered.wanted], gathered.estimate
            if estimate is not None:
                baselines = config.comparison is not None and config.comparison.needs_baselines
                groups = group_estimate(tuple(study.learner.tasks), estimate, config, baselines=baselines)
        except RunError:  # too many runs failed; their errors are told
            totals = [len(stage.records) for stage in runner.stages]
        if config.comparison is not None and groups is not None:
            plan = ArmRuns.of(study, groups)
            runner.get("comparison", plan.runs)
            totals.append(len(plan.runs))
    stages = [StageStatus.of(usage, total) for usage, total in zip(runner.stages, totals, strict=True)]
    if config.comparison is not None and groups is None:
        stages.append(StageStatus("comparison", None, 0, 0))
    errors = tuple(r.error for stage in runner.stages for r in stage.records if r.error)
    members = groups.members if groups is not None else None
    return GroupingStatus(config.name, str(study.folder), tuple(stages), errors, members)
