"""The main job: measure the pretrained model, tune it by every method, compare, report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from cotune.exceptions import RunError
from cotune.findings.retention import RetentionData, retention_findings
from cotune.report import write_report
from cotune.studies.engine._events import Events, tell_notes
from cotune.studies.engine._runner import Runner, StoredRunner, executing
from cotune.studies.engine._store import open_store
from cotune.studies.retention._data import retention_data
from cotune.studies.retention._design import AnyRun, Cell, PretrainedRun, TuneRun
from cotune.studies.retention._result import RetentionResult
from cotune.studies.retention._results import write_results
from cotune.studies.retention.config import Arm

if TYPE_CHECKING:
    from cotune.studies.retention._study import RetentionStudy


def run_retention(study: RetentionStudy, events: Events, *, retry_failed: bool = False) -> RetentionResult:
    """Do what a retention study still lacks and write its results."""
    study.check_folder()
    result = RetentionResult(study, study.check())
    tell_notes(events, result.notes)
    with executing(study, events, retry_failed=retry_failed) as runner:
        _follow(result, runner)
        if study.config.keep and result.data is not None:
            _keep_best(study, result.data, runner)
    return result


def collect_retention(study: RetentionStudy) -> RetentionResult:
    """Put together what a retention study's store holds, running nothing, and write the report of it."""
    study.require_folder()
    result = RetentionResult(study, study.check())
    with open_store(study.store_path) as store:
        _follow(result, StoredRunner(study, store))
    return result


def _follow(result: RetentionResult, runner: Runner[AnyRun]) -> None:
    result.stages = runner.stages
    study = result.study
    before = runner.get("pretrained", [PretrainedRun()])
    pretrained = next(iter(before.values()), None)
    if pretrained is None:
        return
    if pretrained.error is not None:
        raise RunError(f"The pretrained model could not be measured: {pretrained.error}")
    runs: list[AnyRun] = list(dict.fromkeys(study.cells.values()))
    leave = {run: study.shared / "models" / study.key(run) for run in runs} if study.config.keep else {}
    found = runner.get("tuning", runs, leave=leave)
    records = {run: record for run, record in found.items() if isinstance(run, TuneRun)}
    data = retention_data(study, result.notes, pretrained, study.cells, records, runner.stages)
    result.findings = retention_findings(data)
    write_results(study.folder, result.findings, study.config.in_context.split)
    result.report = write_report(result.findings, study.folder / "report.html")


def _keep_best(study: RetentionStudy, data: RetentionData, runner: Runner[AnyRun]) -> None:
    """Keep the best model of every method and take the others away; one that is lost is trained again."""
    best = {arm.label: _best_cell(study, data, arm) for arm in study.config.methods}
    folders: dict[AnyRun, Path] = {
        study.cells[cell]: study.folder / "models" / quote(label, safe=" ")
        for label, cell in best.items()
        if cell is not None
    }
    for run, folder in folders.items():
        fresh = study.shared / "models" / study.key(run)
        if fresh.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(exist_ok=True)
            fresh.rename(folder)
    shutil.rmtree(study.shared / "models", ignore_errors=True)
    runner.get("keeping", list(folders), folders)


def _best_cell(study: RetentionStudy, data: RetentionData, arm: Arm) -> Cell | None:
    runs = {
        Cell(arm, run.learning_rate, run.seed): run.checkpoints
        for run in data.runs
        if run.method == arm.label
    }
    return study.selection.best_run(runs)
