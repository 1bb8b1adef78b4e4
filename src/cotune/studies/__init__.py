"""Studies: from a study file to runs, results and a report, resumed at will."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"cotune.studies.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
