"""The kinds of studies, and what can be done with a study of any kind."""

from __future__ import annotations

from typing import Any

from cotune.studies.engine import KINDS, Events, Plan, Status, Study, StudyResult, load_config
from cotune.studies.grouping import GroupingStudy
from cotune.studies.retention import RetentionStudy
from cotune.studies.transfer import TransferStudy

__all__ = ["KINDS", "Study", "collect_study", "load_config", "plan_study", "run_study", "study_status"]

KINDS |= {
    "grouping": GroupingStudy,
    "retention": RetentionStudy,
    "transfer": TransferStudy,
}


def run_study(
    study: Study[Any, Any], events: Events | None = None, *, retry_failed: bool = False
) -> StudyResult:
    """Do what a study still lacks and write its results; runs that are stored are not done again.

    Parameters
    ----------
    study : Study
        The study.
    events : Events, optional
        Who is told of progress.
    retry_failed : bool
        Whether runs that failed before are tried again.

    Raises
    ------
    InputError
        If something of the study is not usable; found before any compute is spent.
    RunError
        If so many runs failed that nothing can be said, or workers die one after another.
    """
    return study.run(events, retry_failed=retry_failed)


def collect_study(study: Study[Any, Any]) -> StudyResult:
    """Put together what a study's store holds, running nothing, and write the report of it.

    Raises
    ------
    InputError
        If the study was never run.
    """
    return study.collect()


def plan_study(study: Study[Any, Any], *, measure: bool = True, keep: bool = False) -> Plan:
    """Count the runs, steps and tokens that a study still lacks, and measure by a probe what they take.

    Parameters
    ----------
    study : Study
        The study.
    measure : bool
        Whether to load the model and do a few steps for the figures of time, memory and disk.
    keep : bool
        Whether what was measured is kept in the study's folder, where the report sets what runs take beside
        it; nothing else is written.

    Raises
    ------
    InputError
        If something of the study is not usable.
    """
    return study.plan(measure=measure, keep=keep)


def study_status(study: Study[Any, Any]) -> Status:
    """Look up which of a study's runs are in its store; runs and writes nothing.

    Raises
    ------
    InputError
        If the study was never run.
    """
    return study.status()
