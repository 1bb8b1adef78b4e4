"""What a transfer study will cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence

from cotune.studies.engine import Costs, StagePlan, Usage
from cotune.studies.engine.probe import (
    ModelSpeed,
    Tuning,
    count_prompts,
    mean_length,
    measure_model,
    state_bytes,
)
from cotune.studies.transfer._design import (
    InstructRun,
    MeasureRun,
    TransferDesign,
    TransferStudyRun,
    due_of,
    tuning,
)

_PROBE_PROMPTS = 8

_Recipe = tuple[str, ...]
"""A method, its options and the recipe of its training."""

_FINE_TUNING: _Recipe = ()
"""That of fine-tuning on held-out tasks."""

_Speed = ModelSpeed[_Recipe]


def transfer_costs(study: TransferDesign, *, measure: bool) -> Costs:
    """Count runs, steps, tokens and prompts, and measure a few of each."""
    note = "A checkpoint's fine-tunings of LoRA share passes, which the figures do not take into account."
    tunings, wanted = list(study.tunings.values()), study.runs
    speed = _measure(study, tunings) if measure else None
    stages = (
        _measuring(study, "pretrained", wanted["pretrained"], speed),
        _tuning(study, tunings, speed),
        _measuring(study, "measuring", wanted["measuring"], speed),
    )
    usage = None
    if speed is not None:
        sizes = {run: speed.trained_bytes[_recipe(run)] for run in tunings}
        usage = Usage(
            process_bytes=speed.peak_bytes,
            in_flight_bytes=state_bytes(max(sizes.values())),
            kept_bytes=sum(size * len(due_of(run, study.config)) for run, size in sizes.items()),
        )
    return Costs(len(study.train) + len(study.held_out), stages, usage, (note,))


def _recipe(run: InstructRun) -> _Recipe:
    return run.method, run.options, run.training


def _tuning_of(study: TransferDesign, run: InstructRun) -> Tuning:
    method, recipe = tuning(run, study.config)
    tasks = [task for task in study.train if task.name in run.tasks]
    return Tuning(method, method.stages(run.steps, recipe.training, run.tasks), tasks)


def _tuning(study: TransferDesign, runs: Sequence[InstructRun], speed: _Speed | None) -> StagePlan:
    steps, tokens, seconds = 0, 0.0, 0.0
    for run in runs:
        of_run = _tuning_of(study, run)
        method, stages = of_run.method, of_run.stages
        length = mean_length(of_run.tasks, study.encoder, method.demonstrations) + method.virtual_tokens
        steps += sum(stage.steps for stage in stages)
        tokens += sum(stage.steps * stage.training.batch_size * length for stage in stages)
        if speed is not None:
            seconds += speed.training(_recipe(run), stages)
    return StagePlan("tuning", len(runs), steps, round(tokens), None if speed is None else seconds)


def _measuring(
    study: TransferDesign, title: str, runs: Sequence[TransferStudyRun], speed: _Speed | None
) -> StagePlan:
    config, few = study.config, study.config.transfer
    by_name = {task.name: task for task in study.held_out}
    steps = prompts = 0
    tokens = 0.0
    for run in runs:
        assert isinstance(run, MeasureRun)
        task = by_name[run.task]
        tunings = few.draws * sum(1 for n in run.examples if n)
        asked = len(task[config.in_context.split][: config.in_context.max_examples])
        # Every question is asked twice, for an answer and for the likelihood of the target.
        prompts += 2 * (few.draws * len(run.examples) * asked + count_prompts([task], config.in_context))
        steps += few.steps * tunings
        tokens += few.steps * tunings * few.training.batch_size * mean_length([task], study.encoder, 0)
    seconds = None if speed is None else steps * speed.step[_FINE_TUNING][-1] + prompts * speed.prompt
    return StagePlan(title, len(runs), steps, round(tokens), seconds, prompts)


def _measure(study: TransferDesign, runs: Sequence[InstructRun]) -> _Speed:
    """Answer a few prompts, and do a few steps of every tuning and of the fine-tunings."""
    config, few = study.config, study.config.transfer
    first = study.held_out[:1]
    tunings = {_recipe(run): _tuning_of(study, run) for run in reversed(runs)}
    stages = few.method.stages(few.steps, few.training, [task.name for task in first])
    return measure_model(
        config.load(study.base, study.encoder),
        study.held_out,
        config.in_context,
        {**tunings, _FINE_TUNING: Tuning(few.method, stages, first)},
        prompts=_PROBE_PROMPTS,
        seed=config.seed,
        base=study.base,
    )
