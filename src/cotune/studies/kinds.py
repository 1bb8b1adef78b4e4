"""The kinds of studies, and what can be done with a study of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cotune._config import did_you_mean, parse
from cotune.exceptions import InputError
from cotune.studies.engine._config import StudyConfig, read_study_file
from cotune.studies.engine._events import Events, Silent
from cotune.studies.engine._plan import Plan
from cotune.studies.engine._result import StudyResult
from cotune.studies.engine._status import Status
from cotune.studies.engine._study import Study
from cotune.studies.grouping import GroupingStudy
from cotune.studies.retention import RetentionStudy
from cotune.studies.transfer import TransferStudy

KINDS: dict[str, type[Study[Any, Any]]] = {
    "grouping": GroupingStudy,
    "retention": RetentionStudy,
    "transfer": TransferStudy,
}
"""The names a study file may write under ``kind``; a file that writes none is a grouping study's."""

_DEFAULT = "grouping"


def load_config(path: Path) -> StudyConfig:
    """Read a study file of any kind.

    Parameters
    ----------
    path : Path
        The YAML file.

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or a key or value is not valid; names file and key.
    """
    data = read_study_file(path)
    kind = data.get("kind", _DEFAULT)
    if kind not in KINDS:
        names = ", ".join(KINDS)
        near = did_you_mean(str(kind), KINDS)
        raise InputError(f"{path}: kind: must be one of: {names}; got {kind!r}{near}.")
    config = parse(KINDS[kind].config_class, data, str(path))
    config.check(str(path))
    return config


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
        If so many runs failed that nothing can be said, or a worker died.
    """
    return study.run(events or Silent(), retry_failed=retry_failed)


def collect_study(study: Study[Any, Any]) -> StudyResult:
    """Put together what a study's store holds, running nothing, and write the report of it.

    Raises
    ------
    InputError
        If the study was never run.
    """
    return study.collect()


def plan_study(study: Study[Any, Any], *, measure: bool = True) -> Plan:
    """Count a study's runs, steps and tokens, and measure by a probe what they take.

    Parameters
    ----------
    study : Study
        The study; nothing is written.
    measure : bool
        Whether to load the model and do a few steps for the figures of time, memory and disk.

    Raises
    ------
    InputError
        If something of the study is not usable.
    """
    return study.plan(measure=measure)


def study_status(study: Study[Any, Any]) -> Status:
    """Look up which of a study's runs are in its store; runs and writes nothing.

    Raises
    ------
    InputError
        If the study was never run.
    """
    return study.status()
