"""From a study's result to the report's plain values."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from cotune.findings.grouping import (
    AffinityData,
    ArmRow,
    GroupingFindings,
    NegativeTransfer,
    ReferenceLabels,
    TaskRow,
)
from cotune.findings.runs import FailedRun, RunKind
from cotune.report import write_report
from cotune.studies.engine import RunRecord, StageUsage, machine_rows
from cotune.studies.grouping._answers import answers_of
from cotune.studies.grouping._design import GroupingDesign
from cotune.studies.grouping._result import GroupingResult
from cotune.studies.grouping._shown import grouping_data, shown_matrix
from cotune.studies.grouping.estimators import Estimate


def write_report_of(result: GroupingResult) -> Path:
    """Write ``report.html`` of what a study has so far."""
    return write_report(report_data(result), result.study.folder / "report.html")


def report_data(result: GroupingResult) -> GroupingFindings:
    """Gather what the report shows."""
    study = result.study
    families = study.learner.families
    known = [families.get(name, "") for name in study.learner.tasks]
    unpaid = frozenset(study.unpaid(result.stages))
    reference = ReferenceLabels(name="families named by the tasks' authors", labels=tuple(known))
    return GroupingFindings(
        title=study.config.name,
        date=date.today().isoformat(),
        tasks=tuple(_task_row(result, name) for name in study.learner.tasks),
        affinity=_affinity(result),
        grouping=None if result.groups is None else grouping_data(result.groups),
        comparison=result.comparison,
        measured=result.measured,
        sweep=result.sweep,
        arms=tuple(
            ArmRow(name=arm.title, adapters=arm.adapters, parameters=arm.parameters) for arm in result.arms
        ),
        costs=result.costs,
        reference=reference if all(known) and len(set(known)) > 1 else None,
        runs=tuple(_usage(stage, unpaid) for stage in result.stages),
        failures=tuple(_failed(stage.title, r) for stage in result.stages for r in stage.records if r.error),
        provenance=_provenance(result),
        notes=result.estimate.notes if result.estimate else (),
    )


def _task_row(result: GroupingResult, name: str) -> TaskRow:
    task = next((task for task in result.study.tasks if task.name == name), None)
    family = result.study.learner.families.get(name, "")
    if task is None:
        return TaskRow(name=name, metric="", train=None, validation=None, test=None, category=family)
    return TaskRow(
        name=name,
        metric=task.metric,
        train=len(task["train"]),
        validation=len(task["validation"]),
        test=len(task["test"]),
        category=family,
        notes=result.notes.get(name, ()),
        instruction=task.instruction,
        example=next(((e.input, e.targets[0]) for e in task["test"]), ()),
        answers=answers_of(name, result.answers),
    )


def _affinity(result: GroupingResult) -> AffinityData | None:
    if result.estimate is None:
        return None
    affinity = result.estimate.affinity
    prepared: list[list[float]] | None = None
    steps: tuple[str, ...] = ()
    if result.groups:
        prepared, steps = shown_matrix(result.groups)
    return AffinityData(
        matrix=affinity.matrix.tolist(),
        unit=result.estimate.unit,
        prepared=prepared,
        steps=steps,
        counts=affinity.counts.tolist(),
        stderr=affinity.stderr.tolist(),
        estimator=result.estimate.estimator,
        **_transfer(result.estimate, result.study.learner.tasks),
    )


def _transfer(estimate: Estimate, tasks: Sequence[str]) -> dict[str, Any]:
    """Gather who gains by company, and how far predictions can be trusted."""
    found: dict[str, Any] = {}
    if estimate.gains is not None:
        found["gains"] = estimate.gains.matrix.tolist()
        found["alone"] = tuple(estimate.single.get(task, math.nan) for task in tasks)
    if estimate.trust is not None:
        found["agreement"] = tuple(estimate.trust.by_task[task] for task in tasks)
        found["agreement_measure"] = estimate.trust.measure
    if estimate.negative_transfer is not None:
        found["negative_transfer_predictor"] = estimate.negative_transfer.predictor
        found["negative_transfer"] = tuple(
            NegativeTransfer(
                size=s.size, f1=s.f1, tasks=s.n_tasks, scores=s.n_scores, prevalence=s.prevalence
            )
            for s in estimate.negative_transfer.by_size
        )
    return found


def _usage(stage: StageUsage, unpaid: Container[str]) -> RunKind:
    """Count what a stage took, less what another was trained for and this only scored."""
    failed = sum(record.error is not None for record in stage.records)
    trained = [record for record in stage.records if record.key not in unpaid]
    tokens = [record.tokens for record in trained if record.tokens is not None]
    return RunKind(
        kind=stage.title,
        done=len(stage.records) - stage.reused,
        reused=stage.reused,
        failed=failed,
        cpu_seconds=sum(record.cpu_seconds for record in trained),
        wall_seconds=sum(record.seconds for record in trained),
        tokens=sum(tokens) if tokens else None,
    )


def _failed(kind: str, record: RunRecord) -> FailedRun:
    name = " + ".join(record.identity.get("subset", ()))
    return FailedRun(kind=kind, name=name, error=record.error or "")


def _provenance(result: GroupingResult) -> tuple[tuple[str, str], ...]:
    study = result.study
    return (
        ("study", study.config.name),
        ("learner", _describe(study)),
        ("seed", str(study.config.seed)),
        ("fingerprint of model and recipe", study.learner.fingerprint[:16]),
        *machine_rows(result.stages, study.precision, study.accounts(result.stages)),
    )


def _describe(study: GroupingDesign) -> str:
    learner = study.config.learner
    model = getattr(learner, "model", None)
    return f"{type(study.learner).__name__}" + (f", model {model}" if model else "")
