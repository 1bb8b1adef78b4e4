"""The main job: estimate affinity, group, train the groups and what they are compared with, report."""

from __future__ import annotations

from collections.abc import Mapping

from cotune.evaluation.comparison import compare
from cotune.exceptions import RunError
from cotune.studies._comparison import ArmRuns
from cotune.studies._events import Events, Silent
from cotune.studies._grouping import group_tasks
from cotune.studies._report import write_report_of
from cotune.studies._result import StudyResult
from cotune.studies._results import write_affinity, write_groups, write_results
from cotune.studies._runner import Runner, StoredRunner, executing
from cotune.studies._runs import AnyRun, RunRecord
from cotune.studies._store import open_store
from cotune.studies._study import Study


def run_study(study: Study, events: Events | None = None, *, retry_failed: bool = False) -> StudyResult:
    """Do what a study still lacks and write its results; runs that are stored are not done again.

    Parameters
    ----------
    study : Study
        The study.
    events : Events, optional
        Who is told of progress.
    retry_failed : bool
        Whether runs that failed before are tried again.

    Returns
    -------
    StudyResult

    Raises
    ------
    InputError
        If something of the study is not usable; found before any compute is spent.
    RunError
        If so many runs failed that the affinity cannot be had, or a worker died.
    """
    events = events or Silent()
    study.check_folder()
    result = StudyResult(study, study.check())
    for task, notes in result.notes.items():
        for note in notes:
            events.note(f"{task}: {note}")
    with executing(study, events, retry_failed=retry_failed) as runner:
        _follow(result, runner)
    return result


def collect_study(study: Study) -> StudyResult:
    """Put together what a study's store holds, running nothing, and write the report of it.

    Raises
    ------
    InputError
        If the study was never run.
    """
    study.require_folder()
    result = StudyResult(study, study.check())
    with open_store(study.folder / "runs.sqlite") as store:
        _follow(result, StoredRunner(study, store))
    return result


def _follow(result: StudyResult, runner: Runner) -> None:
    """Go from stage to stage as far as the runs allow, writing each stage's results when it is done."""
    result.stages = runner.stages
    study, config = result.study, result.study.config
    wanted = config.affinity.runs(study.learner, config.seed)
    result.affinity_records = runner.get("affinity", wanted)
    if len(result.affinity_records) == len(set(wanted)):
        _require_some(result.affinity_records)
        result.estimate = config.affinity.estimate(study.learner, result.affinity_records)
        names = tuple(study.learner.tasks)
        write_affinity(study.folder, names, result.estimate, result.affinity_records)
        result.groups = group_tasks(
            names, result.estimate.affinity, config.grouping, scale=config.affinity.scale, seed=config.seed
        )
        write_groups(study.folder, result.groups)
        if config.comparison is not None:
            plan = ArmRuns.plan(names, result.groups.labels, config.comparison, config.seed)
            save = plan.kept(study.folder / "adapters")
            records = runner.get("comparison", plan.runs, save)
            result.scores = plan.scores(records)
            arms = list(dict.fromkeys(arm for arm, _, _ in plan.cells))
            if result.scores and len(arms) > 1:
                result.comparison = compare(result.scores, arms)
                write_results(study.folder, plan, records)
    result.report = write_report_of(result)


def _require_some(records: Mapping[AnyRun, RunRecord]) -> None:
    errors = [record.error for record in records.values() if record.error is not None]
    if len(errors) == len(records):
        raise RunError(f"All {len(records)} runs for the affinity failed, the first so: {errors[0]}")
