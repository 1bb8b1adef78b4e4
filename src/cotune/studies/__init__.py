"""Studies: from a study file to runs, results and a report, resumed at will."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.studies.engine import Events, Plan, RunRecord, Status, StudyConfig, StudyResult
    from cotune.studies.kinds import (
        KINDS,
        Study,
        collect_study,
        load_config,
        plan_study,
        run_study,
        study_status,
    )

_HOMES = {
    "KINDS": "kinds",
    "Events": "engine",
    "Plan": "engine",
    "RunRecord": "engine",
    "Status": "engine",
    "Study": "kinds",
    "StudyConfig": "engine",
    "StudyResult": "engine",
    "collect_study": "kinds",
    "load_config": "kinds",
    "plan_study": "kinds",
    "run_study": "kinds",
    "study_status": "kinds",
}

__all__ = [
    "KINDS",
    "Events",
    "Plan",
    "RunRecord",
    "Status",
    "Study",
    "StudyConfig",
    "StudyResult",
    "collect_study",
    "load_config",
    "plan_study",
    "run_study",
    "study_status",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
