"""What a transfer study will cost, before anything is spent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotune.studies.engine._plan import Plan, StagePlan
from cotune.studies.engine._probe import count_prompts, mean_length, time_method
from cotune.studies.engine._runner import workers_of
from cotune.studies.engine._worker import peak_memory
from cotune.studies.transfer._design import AnyRun, MeasureRun, TuneRun, due_of, tuning

if TYPE_CHECKING:
    from cotune.models import LanguageModel
    from cotune.studies.transfer._study import TransferStudy

_PROBE_PROMPTS = 8

Recipe = tuple[str, str, str]
"""A method, its options and the recipe of its training."""


@dataclass(frozen=True)
class _Speed:
    """What a probe measured: seconds of a tuning's steps by stage, of a fine-tuning's, of a prompt; bytes."""

    step: dict[Recipe, tuple[float, ...]]
    fine_tuning_step: float
    prompt: float
    kept_bytes: dict[Recipe, int]
    peak_bytes: int


def plan_transfer(study: TransferStudy, *, measure: bool = True) -> Plan:
    """Count runs, steps, tokens and prompts, and measure a few of each."""
    study.check_folder()
    notes = [f"{task}: {note}" for task, of_task in study.check().items() for note in of_task]
    notes.append(
        "A checkpoint's fine-tunings of LoRA share passes, which the figures do not take into account."
    )
    tunings, wanted = list(study.tunings.values()), study.wanted
    speed = _measure(study, tunings) if measure else None
    stages = (
        _measuring(study, "pretrained", wanted["pretrained"], speed),
        _tuning(study, tunings, speed),
        _measuring(study, "measuring", wanted["measuring"], speed),
    )
    workers = max(1, workers_of(study))
    wall = memory = disk = None
    if speed is not None:
        wall = sum(stage.cpu_seconds or 0.0 for stage in stages) / workers
        memory = speed.peak_bytes * workers
        # A state holds the parameters, the best of them, and two moments of the optimiser.
        disk = workers * 4 * max(speed.kept_bytes.values())
        disk += sum(speed.kept_bytes[_recipe(run)] * len(due_of(run, study.config)) for run in tunings)
    tasks = len(study.train) + len(study.held_out)
    return Plan(study.config.name, tasks, tuple(notes), stages, workers, wall, memory, disk)


def _recipe(run: TuneRun) -> Recipe:
    return run.method, run.options, run.training


def _tuning(study: TransferStudy, runs: Sequence[TuneRun], speed: _Speed | None) -> StagePlan:
    steps, tokens, seconds = 0, 0.0, 0.0
    for run in runs:
        method, config = tuning(run, study.config)
        stages = method.stages(run.steps, config.training, run.tasks)
        tasks = [task for task in study.train if task.name in run.tasks]
        length = mean_length(tasks, study.encoder, method.demonstrations) + method.virtual_tokens
        steps += sum(stage.steps for stage in stages)
        tokens += sum(stage.steps * stage.training.batch_size * length for stage in stages)
        if speed is not None:
            each = speed.step[_recipe(run)]
            seconds += sum(stage.steps * one for stage, one in zip(stages, each, strict=True))
    return StagePlan("tuning", len(runs), steps, round(tokens), None if speed is None else seconds)


def _measuring(study: TransferStudy, title: str, runs: Sequence[AnyRun], speed: _Speed | None) -> StagePlan:
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
    seconds = None if speed is None else steps * speed.fine_tuning_step + prompts * speed.prompt
    return StagePlan(title, len(runs), steps, round(tokens), seconds, prompts)


def _measure(study: TransferStudy, runs: Sequence[TuneRun]) -> _Speed:
    """Answer a few prompts, and do a few steps of every tuning and of the fine-tunings."""
    from cotune.answering import evaluate_in_context

    config = study.config
    model = config.load(study.base, study.encoder)
    asked = config.in_context.model_copy(update={"draws": 1, "max_examples": _PROBE_PROMPTS})
    evaluate_in_context(model, model.base, study.held_out[:1], asked, seed=config.seed)
    begin = time.process_time()
    evaluate_in_context(model, model.base, study.held_out, asked, seed=config.seed)
    prompt = (time.process_time() - begin) / count_prompts(study.held_out, asked)
    steps: dict[Recipe, tuple[float, ...]] = {}
    sizes: dict[Recipe, int] = {}
    for run in runs:
        if _recipe(run) not in steps:
            method, recipe = tuning(run, config)
            tasks = [task for task in study.train if task.name in run.tasks]
            stages = method.stages(run.steps, recipe.training, run.tasks)
            steps[_recipe(run)], sizes[_recipe(run)] = time_method(model, method, tasks, stages, study.base)
    return _Speed(steps, _fine_tuning_step(study, model), prompt, sizes, peak_memory())


def _fine_tuning_step(study: TransferStudy, model: LanguageModel) -> float:
    """Return the seconds of a step of fine-tuning."""
    few = study.config.transfer
    stages = few.method.stages(few.steps, few.training, [study.held_out[0].name])
    seconds, _ = time_method(model, few.method, study.held_out[:1], stages, study.base)
    return seconds[-1]
