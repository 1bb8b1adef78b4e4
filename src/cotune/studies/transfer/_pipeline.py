"""The main job: measure the pretrained model, tune every arm, measure its checkpoints, compare, report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.exceptions import RunError
from cotune.findings.transfer import transfer_findings
from cotune.report import write_report
from cotune.studies.engine._events import Events, tell_notes
from cotune.studies.engine._runner import Runner, StoredRunner, executing
from cotune.studies.engine._store import open_store
from cotune.studies.transfer._data import transfer_data
from cotune.studies.transfer._design import AnyRun
from cotune.studies.transfer._result import TransferResult
from cotune.studies.transfer._results import write_results

if TYPE_CHECKING:
    from cotune.studies.transfer._study import TransferStudy


def run_transfer(study: TransferStudy, events: Events, *, retry_failed: bool = False) -> TransferResult:
    """Do what a transfer study still lacks and write its results."""
    study.check_folder()
    result = TransferResult(study, study.check())
    tell_notes(events, result.notes)
    with executing(study, events, retry_failed=retry_failed) as runner:
        _follow(result, runner)
        if not study.config.keep:
            shutil.rmtree(study.checkpoints, ignore_errors=True)
    return result


def collect_transfer(study: TransferStudy) -> TransferResult:
    """Put together what a transfer study's store holds, running nothing, and write the report of it."""
    study.require_folder()
    result = TransferResult(study, study.check())
    with open_store(study.store_path) as store:
        _follow(result, StoredRunner(study, store))
    return result


def _follow(result: TransferResult, runner: Runner[AnyRun]) -> None:
    study, result.stages = result.study, runner.stages
    before = runner.get("pretrained", study.pretrained)
    if not before:
        return
    failed = next((record.error for record in before.values() if record.error), None)
    if failed is not None:
        raise RunError(f"The pretrained model could not be measured: {failed}")
    tunings = list(study.tunings.values())
    asked = {run: study.measurements(run) for run in tunings}
    # Weights are needed where something is still to be measured; elsewhere they may be gone.
    needed: dict[AnyRun, Path] = {
        run: study.checkpoints / study.key(run)
        for run, wanted in asked.items()
        if len(runner.stored(wanted)) < len(wanted)
    }
    tuned = runner.get("tuning", tunings, save=needed)
    good = [run for run in tunings if run in tuned and tuned[run].error is None]
    measured = runner.get("measuring", [wanted for run in good for wanted in asked[run]])
    data = transfer_data(study, result.notes, before, tuned, measured, runner.stages)
    result.findings = transfer_findings(data)
    write_results(study.folder, result.findings)
    result.report = write_report(result.findings, study.folder / "report.html")
