"""From the records of runs to what the report shows and the result files hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from cotune.evaluation.gradient_conflict import TaskGradients
from cotune.findings.runs import FailedRun
from cotune.findings.transfer import (
    HeldOutResult,
    MarkedModel,
    SeenLoss,
    TransferArm,
    TransferCheckpoint,
    TransferData,
    TransferPoint,
    TransferRun,
    TransferTask,
)
from cotune.studies.engine import RunRecord, StageUsage, machine_rows
from cotune.studies.transfer._design import (
    ArmCell,
    InstructRun,
    MarkedRun,
    MeasureRun,
    TransferDesign,
    TransferStudyRun,
    due_of,
)
from cotune.studies.transfer.config import Arm
from cotune.tasks import Task, get_metric


def transfer_data(
    study: TransferDesign,
    notes: Mapping[str, tuple[str, ...]],
    before: Mapping[TransferStudyRun, RunRecord],
    tuned: Mapping[TransferStudyRun, RunRecord],
    measured: Mapping[TransferStudyRun, RunRecord],
    stages: Sequence[StageUsage],
) -> TransferData:
    """Gather what the report shows.

    Parameters
    ----------
    study : TransferStudy
        The study.
    notes : mapping of str to tuple of str
        By task, what was cut or dropped.
    before, tuned, measured : mapping of run to RunRecord
        Records of the pretrained model's measurements, of the tunings and of their checkpoints'.
    stages : sequence of StageUsage
        What was run.
    """
    config = study.config
    found = {run: record for run, record in measured.items() if record.error is None}
    return TransferData(
        title=config.name,
        date=date.today().isoformat(),
        tasks=tuple(_tasks(study, notes)),
        arms=tuple(_arms(study)),
        pretrained=TransferCheckpoint(
            step=0, held_out=_results(of for run, of in before.items() if isinstance(run, MeasureRun))
        ),
        runs=tuple(
            _run(study, cell, run, tuned[run], found)
            for cell, run in study.cells.items()
            if run in tuned and tuned[run].error is None
        ),
        along=tuple(n for n in config.numbers if n),
        marking=config.transfer.marking,
        marked=tuple(_marked(study, before, found)),
        failures=tuple(_failures(study, {**tuned, **measured})),
        provenance=_provenance(study, stages),
    )


def _tasks(study: TransferDesign, notes: Mapping[str, tuple[str, ...]]) -> Iterator[TransferTask]:
    config = study.config
    for tasks, split, most in (
        (study.train, "test", config.seen_examples),
        (study.held_out, config.in_context.split, config.in_context.max_examples),
    ):
        for task in tasks:
            yield _task(task, tasks is study.held_out, len(task[split][:most]), notes.get(task.name, ()))


def _task(task: Task, held_out: bool, test: int, notes: tuple[str, ...]) -> TransferTask:
    return TransferTask(
        name=task.name,
        held_out=held_out,
        metric=task.metric,
        higher_is_better=get_metric(task.metric).higher_is_better,
        train=len(task["train"]),
        test=test,
        notes=notes,
    )


def _arms(study: TransferDesign) -> Iterator[TransferArm]:
    for arm in study.config.compared:
        runs = [run for cell, run in study.cells.items() if cell.arm == arm.label]
        groups = {cell.group for cell in study.cells if cell.arm == arm.label}
        yield TransferArm(
            label=arm.label,
            scheme=arm.scheme,
            method=runs[0].method,
            replay=arm.replay,
            groups=len(groups),
            recipe=_recipe(arm),
        )


def _recipe(arm: Arm) -> str:
    """Hash all of an arm but its names and its replay."""
    training = {key: value for key, value in arm.training.plain().items() if key != "replay"}
    content = [arm.method.kind, arm.method.plain(), training, arm.tasks, arm.groups]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _run(
    study: TransferDesign,
    cell: ArmCell,
    run: InstructRun,
    record: RunRecord,
    measured: Mapping[TransferStudyRun, RunRecord],
) -> TransferRun:
    assert record.payload is not None
    payload, wanted = record.payload, study.measurements(run)
    seen = {int(step): losses for step, losses in payload["seen"].items()}
    checkpoints = [
        TransferCheckpoint(
            step=step,
            held_out=_results(
                measured[one]
                for one in wanted
                if isinstance(one, MeasureRun) and one.step == step and one in measured
            ),
            seen=tuple(SeenLoss(task=task, **losses) for task, losses in seen[step].items()),
        )
        for step in (0, *due_of(run, study.config))
    ]
    return TransferRun(
        arm=cell.arm,
        seed=cell.seed,
        checkpoints=tuple(checkpoints),
        group=cell.group,
        instructions=tuple(payload["instructions"].items()),
        losses=record.losses,
        replay_losses=tuple(payload["replay_losses"]),
        windows=payload["windows"],
        cpu_seconds=record.cpu_seconds,
        gradients=tuple(
            (int(step), TaskGradients.from_dict(of)) for step, of in payload.get("gradients", {}).items()
        ),
    )


def _marked(
    study: TransferDesign,
    before: Mapping[TransferStudyRun, RunRecord],
    measured: Mapping[TransferStudyRun, RunRecord],
) -> Iterator[MarkedModel]:
    """Yield the pretrained model and every tuned one under each further marking that was measured."""
    for marking in study.config.further_markings:
        yield MarkedModel(marking=marking, held_out=_under(marking, before, study.pretrained))
        for cell, run in study.cells.items():
            found = _under(marking, measured, study.measurements(run))
            if found:
                yield MarkedModel(
                    marking=marking, held_out=found, arm=cell.arm, seed=cell.seed, group=cell.group
                )


def _under(
    marking: str, records: Mapping[TransferStudyRun, RunRecord], wanted: Iterable[TransferStudyRun]
) -> tuple[HeldOutResult, ...]:
    own = (run for run in wanted if isinstance(run, MarkedRun) and run.marking == marking)
    return _results(records[run] for run in own if run in records)


def _results(records: Iterable[RunRecord]) -> tuple[HeldOutResult, ...]:
    return tuple(
        HeldOutResult(
            task=record.identity["task"],
            transfer=_points(record.payload["transfer"]),
            in_context=_points(record.payload["in_context"]),
        )
        for record in records
        if record.payload is not None
    )


def _points(rows: Sequence[Sequence[float]]) -> tuple[TransferPoint, ...]:
    """Put the draws of every number of examples together."""
    cells: dict[int, list[Sequence[float]]] = {}
    for row in sorted(rows, key=lambda row: tuple(row[:2])):
        cells.setdefault(int(row[0]), []).append(row)
    return tuple(
        TransferPoint(
            examples=examples,
            scores=tuple(score for _, _, score, _ in cell),
            losses=tuple(loss for _, _, _, loss in cell),
        )
        for examples, cell in cells.items()
    )


def _failures(study: TransferDesign, records: Mapping[TransferStudyRun, RunRecord]) -> Iterator[FailedRun]:
    places = {run: f"{cell.arm}, seed {cell.seed}" for cell, run in study.cells.items()}
    for run, record in records.items():
        if record.error is not None:
            tuning = run if isinstance(run, InstructRun) else study.tunings[run.source]
            name = places[tuning] + ("" if isinstance(run, InstructRun) else f", step {run.step}, {run.task}")
            yield FailedRun(kind=record.kind, name=name, error=record.error)


def _provenance(study: TransferDesign, stages: Sequence[StageUsage]) -> tuple[tuple[str, str], ...]:
    config, training, few = study.config, study.config.training, study.config.transfer
    return (
        ("study", config.name),
        ("model", config.model + (f" at {config.revision}" if config.revision else "")),
        ("fingerprint of the model", study.model_fingerprint["model"][:16]),
        ("seeds", f"{config.seed} to {config.seed + config.seeds - 1}; examples and prompts {config.seed}"),
        (
            "instruction tuning",
            f"{config.steps} steps of {training.batch_size} examples, learning rate "
            f"{training.learning_rate:g}",
        ),
        (
            "fine-tuning",
            f"{type(few.method).__name__}, {few.steps} steps, learning rate "
            f"{few.training.learning_rate:g}, marked by {' and '.join(config.markings)}, {few.draws} draws",
        ),
        *machine_rows(stages, study.precision, study.accounts(stages)),
    )
