from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cotune.exceptions import RunError
from cotune.studies.engine._runner import StoredRunner
from cotune.studies.engine._status import StageStatus, Status
from cotune.studies.engine._store import open_store
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._grouping import describe_groups, group_estimate, groups_of
from cotune.studies.grouping._rounds import gather
from cotune.studies.grouping.estimators import Estimate

if TYPE_CHECKING:
    from cotune.studies.grouping._study import GroupingStudy

Labels: TypeAlias = tuple[int, ...]


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
    members = None
    with open_store(study.store_path) as store:
        runner = StoredRunner(study, store)
        totals, estimate = [0], None
        try:
            gathered = gather(study, runner)
            totals, estimate = [gathered.wanted], gathered.estimate
        except RunError:  # too many runs failed; their errors are told
            totals = [len(stage.records) for stage in runner.stages]
        if estimate is not None:
            labels, others = _partitions(study, estimate)
            members = groups_of(tuple(study.learner.tasks), labels)
            if config.comparison is not None:
                plan = ArmRuns.plan(study.learner, labels, config.comparison, config.seed, baselines=others)
                runner.get("comparison", plan.runs)
                totals.append(len(plan.runs))
    stages = [StageStatus.of(usage, total) for usage, total in zip(runner.stages, totals, strict=True)]
    if config.comparison is not None and members is None:
        stages.append(StageStatus("comparison", None, 0, 0))
    errors = tuple(r.error for stage in runner.stages for r in stage.records if r.error)
    return GroupingStatus(config.name, str(study.folder), tuple(stages), errors, members)


def _partitions(study: GroupingStudy, estimate: Estimate) -> tuple[Labels, Mapping[str, Labels]]:
    """Return the study's groups, and those of other groupers where they are trained as well."""
    config = study.config
    baselines = config.comparison is not None and config.comparison.needs_baselines
    if estimate.found is not None and not baselines:
        return tuple(int(label) for label in estimate.found.labels), {}  # what their bound is may wait
    groups = group_estimate(tuple(study.learner.tasks), estimate, config, baselines=baselines)
    return groups.labels, {other.name: other.labels for other in groups.others}
