from __future__ import annotations

from typing import TYPE_CHECKING

from cotune.studies._runner import StoredRunner
from cotune.studies._status import StageStatus, Status
from cotune.studies._store import open_store
from cotune.studies.retention._runs import AnyRun, PretrainedRun

if TYPE_CHECKING:
    from cotune.studies.retention._study import RetentionStudy


def retention_status(study: RetentionStudy) -> Status:
    """Look up which of a retention study's runs are in its store; runs and writes nothing."""
    study.require_folder()
    wanted: dict[str, list[AnyRun]] = {
        "pretrained": [PretrainedRun()],
        "tuning": list(dict.fromkeys(study.cells.values())),
    }
    with open_store(study.store_path) as store:
        runner = StoredRunner(study, store)
        for title, runs in wanted.items():
            runner.get(title, runs)
    stages = tuple(
        StageStatus.of(usage, len(runs)) for usage, runs in zip(runner.stages, wanted.values(), strict=True)
    )
    errors = tuple(r.error for stage in runner.stages for r in stage.records if r.error)
    return Status(study.config.name, str(study.folder), stages, errors)
