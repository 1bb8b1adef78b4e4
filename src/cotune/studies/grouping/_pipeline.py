"""The main job: estimate affinity, group, train the groups and what they are compared with, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune.findings.comparison import compare
from cotune.studies.engine._events import Events, tell_notes
from cotune.studies.engine._runner import Runner, StoredRunner, executing
from cotune.studies.engine._store import open_store
from cotune.studies.grouping._arrivals import arrivals, note_arrivals
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._design import AnyRun
from cotune.studies.grouping._grouping import group_estimate
from cotune.studies.grouping._report import write_report_of
from cotune.studies.grouping._result import GroupingResult
from cotune.studies.grouping._results import write_affinity, write_arms, write_groups, write_results
from cotune.studies.grouping._rounds import gather

if TYPE_CHECKING:
    from cotune.studies.grouping._study import GroupingStudy


def run_grouping(study: GroupingStudy, events: Events, *, retry_failed: bool = False) -> GroupingResult:
    """Do what a grouping study still lacks and write its results."""
    study.check_folder()
    result = GroupingResult(study, study.check())
    tell_notes(events, result.notes)
    with executing(study, events, retry_failed=retry_failed) as runner:
        note_arrivals(study.shared, arrivals(study.shared, study.learner.tasks))
        _follow(result, runner)
    return result


def collect_grouping(study: GroupingStudy) -> GroupingResult:
    """Put together what a grouping study's store holds, running nothing, and write the report of it."""
    study.require_folder()
    result = GroupingResult(study, study.check())
    with open_store(study.store_path) as store:
        _follow(result, StoredRunner(study, store))
    return result


def _follow(result: GroupingResult, runner: Runner[AnyRun]) -> None:
    """Go from stage to stage as far as the runs allow, writing each stage's results when it is done."""
    result.stages = runner.stages
    study, config = result.study, result.study.config
    gathered = gather(study, runner)
    result.affinity_records, result.estimate = gathered.records, gathered.estimate
    if result.estimate is not None:
        names = tuple(study.learner.tasks)
        write_affinity(study.folder, names, result.estimate, result.affinity_records)
        result.groups = group_estimate(names, result.estimate, config)
        write_groups(study.folder, result.groups)
        if config.comparison is not None:
            plan = ArmRuns.of(study, result.groups)
            result.arms = plan.arms
            save = plan.kept(study.folder / "adapters")
            records = runner.get("comparison", plan.runs, save)
            result.scores = plan.scores(records, study.tasks)
            arms = list(dict.fromkeys(arm for arm, _, _ in plan.cells))
            if result.scores and len(arms) > 1:
                result.comparison = compare(result.scores, arms)
                write_results(study.folder, plan, records)
                write_arms(study.folder, plan.arms, result.comparison)
    result.report = write_report_of(result)
