"""From the records of runs to what the report shows and the result files hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cotune.findings.retention import (
    ReplayArm,
    RetentionCheckpoint,
    RetentionCost,
    RetentionData,
    RetentionRun,
    RetentionTask,
)
from cotune.findings.runs import FailedRun
from cotune.studies.engine import RunRecord, StageUsage, machine_rows
from cotune.studies.retention._checkpoints import Selection, checkpoint_from_dict
from cotune.studies.retention._design import RateCell, RetentionDesign, TuneRun
from cotune.studies.retention._measure import label_set
from cotune.studies.retention.config import MethodArm
from cotune.tasks import Task, get_metric

_GIVEN = "given in the study"
_AUTO = (
    "the best validation score that every method which tunes weights, and comes further than an untuned "
    "model, reaches with every seed, at the best of its learning rates"
)
_NO_FURTHER = "no tuned weights come further on the targets' validation examples than untuned ones"


@dataclass(frozen=True)
class Finished:
    """A run that went well.

    Parameters
    ----------
    checkpoints : tuple of RetentionCheckpoint
        In the order of training.
    record : RunRecord
        Its record.
    """

    checkpoints: tuple[RetentionCheckpoint, ...]
    record: RunRecord


def finished_runs(
    cells: Mapping[RateCell, TuneRun],
    records: Mapping[TuneRun, RunRecord],
    pretrained: RetentionCheckpoint,
) -> dict[RateCell, Finished]:
    """Read the checkpoints of all runs that went well.

    Where a run's weights were those of the pretrained model, it was not evaluated in context again: without
    the soft prompt it is the pretrained model.
    """
    found = {}
    for cell, run in cells.items():
        record = records.get(run)
        if record is not None and record.payload is not None:
            read = [checkpoint_from_dict(data) for data in record.payload["checkpoints"]]
            found[cell] = Finished(
                tuple(c if c.in_context else replace(c, in_context=pretrained.in_context) for c in read),
                record,
            )
    return found


def retention_data(
    study: RetentionDesign,
    notes: Mapping[str, tuple[str, ...]],
    pretrained: RunRecord,
    records: Mapping[TuneRun, RunRecord],
    stages: Sequence[StageUsage],
) -> RetentionData:
    """Gather what the report shows.

    Parameters
    ----------
    study : RetentionStudy
        The study.
    notes : mapping of str to tuple of str
        By task, what was cut or dropped.
    pretrained : RunRecord
        Of the model before any tuning.
    records : mapping of TuneRun to RunRecord
        Those of the runs done so far.
    stages : sequence of StageUsage
        What was run.
    """
    assert pretrained.payload is not None
    config, choose = study.config, Selection.by(study.targets)
    before = replace(checkpoint_from_dict(pretrained.payload["checkpoints"][0]), untouched=True)
    done = finished_runs(study.cells, records, before)
    threshold, rule = _threshold(study, done, before)
    sample = pretrained.payload.get("sample", {})  # nothing of what was stored earlier
    return RetentionData(
        title=config.name,
        date=date.today().isoformat(),
        targets=tuple(_task(task, "test", None, notes, sample) for task in study.targets),
        evaluation=tuple(
            _task(
                task,
                config.in_context.split,
                config.in_context.max_examples,
                notes,
                sample,
                study.types[task.name],
            )
            for task in study.evaluation
        ),
        methods=tuple(arm.label for arm in config.methods),
        learning_rates=config.rates,
        pretrained=before,
        runs=tuple(_run(cell, finished, choose, threshold) for cell, finished in done.items()),
        threshold=threshold,
        threshold_rule=rule,
        labels=label_set(study.targets),
        failures=_failures(study.cells, records),
        provenance=_provenance(study, stages),
        notes=(*_notes(pretrained.payload["cut"]), *study.doubled),
        replay=tuple(replay_arms(config.methods)),
        replay_keeps=config.replay_keeps,
    )


def replay_arms(methods: Sequence[MethodArm]) -> Iterator[ReplayArm]:
    """Find the methods that differ in how much stands beside the targets alone, and the one without any."""
    families: dict[str, list[MethodArm]] = {}
    for arm in methods:
        if arm.method.beside is not None:
            plain = arm.method.plain()
            plain["others"].pop("ratio")
            families.setdefault(json.dumps([arm.name, plain], sort_keys=True), []).append(arm)
    several = {key: arms for key, arms in families.items() if len(arms) > 1}
    names = [arms[0].name for arms in several.values()]
    for arms in several.values():
        name, beside, tuned_by = arms[0].name, arms[0].method.beside, arms[0].method.tuned_by
        source = "tasks" if beside is not None and beside.text is None else "text"
        family = f"{name} of {source}" if names.count(name) > 1 else name
        alone = (arm for arm in methods if arm.method.plain() == tuned_by.plain())
        for arm in alone:
            if type(arm.method) is type(tuned_by):
                yield ReplayArm(label=arm.label, family=family, ratio=0.0)
        for arm in arms:
            assert arm.method.beside is not None
            yield ReplayArm(label=arm.label, family=family, ratio=arm.method.beside.ratio)


def _threshold(
    study: RetentionDesign, done: Mapping[RateCell, Finished], pretrained: RetentionCheckpoint
) -> tuple[float | None, str]:
    if study.config.equal_target != "auto":
        return study.config.equal_target, _GIVEN
    runs = {cell: finished.checkpoints for cell, finished in done.items()}
    common = Selection.by(study.targets).common_target(runs, pretrained)
    if common is None:
        return None, _NO_FURTHER if any(cell.arm.tunes_weights for cell in runs) else ""
    return common, _AUTO


def _task(
    task: Task,
    split: str,
    most: int | None,
    notes: Mapping[str, tuple[str, ...]],
    sample: Mapping[str, Sequence[Sequence[str]]],
    kind: str = "",
) -> RetentionTask:
    return RetentionTask(
        name=task.name,
        metric=task.metric,
        higher_is_better=get_metric(task.metric).higher_is_better,
        examples=len(task[split][:most]),
        notes=notes.get(task.name, ()),
        type=kind,
        sample=tuple((text, right) for text, right in sample.get(task.name, ())),
    )


def _run(cell: RateCell, finished: Finished, choose: Selection, threshold: float | None) -> RetentionRun:
    assert finished.record.payload is not None
    checkpoints = finished.checkpoints
    return RetentionRun(
        method=cell.arm.label,
        learning_rate=cell.learning_rate,
        seed=cell.seed,
        checkpoints=checkpoints,
        best=choose.best(checkpoints),
        equal=None if threshold is None else choose.first_reaching(checkpoints, threshold),
        cost=RetentionCost(**finished.record.payload["cost"]),
    )


def _failures(
    cells: Mapping[RateCell, TuneRun], records: Mapping[TuneRun, RunRecord]
) -> tuple[FailedRun, ...]:
    return tuple(
        FailedRun(
            kind="tuning",
            name=f"{cell.arm.label}, learning rate {cell.learning_rate:g}, seed {cell.seed}",
            error=records[run].error or "",
        )
        for cell, run in cells.items()
        if run in records and records[run].error is not None
    )


def _provenance(study: RetentionDesign, stages: Sequence[StageUsage]) -> tuple[tuple[str, str], ...]:
    config = study.config
    model = config.model + (f" at {config.revision}" if config.revision else "")
    return (
        ("study", config.name),
        ("model", model),
        ("fingerprint of the model", study.model_fingerprint["model"][:16]),
        ("seeds", f"{config.seed} to {config.seed + config.seeds - 1}; demonstrations {config.seed}"),
        ("recipe", _recipe(study)),
        *machine_rows(stages, study.precision, study.accounts(stages)),
    )


def _recipe(study: RetentionDesign) -> str:
    training = study.config.training
    return (
        f"{study.config.steps} steps of {training.batch_size} examples, {training.optimizer}, "
        f"{training.schedule} after {training.warmup:.0%} of warmup"
    )


def _notes(cut: Mapping[str, int]) -> list[str]:
    return [
        f"{task}: to fit, the input of up to {prompts} prompts of a draw was cut at its end."
        for task, prompts in cut.items()
        if prompts
    ]
