"""What a retention study will cost, before anything is spent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotune.studies.engine._plan import Plan, StagePlan
from cotune.studies.engine._probe import count_prompts, mean_length, time_method
from cotune.studies.engine._runner import workers_of
from cotune.studies.engine._worker import peak_memory
from cotune.studies.retention._design import TuneRun, tuning
from cotune.studies.retention.config import changes_weights

if TYPE_CHECKING:
    from cotune.studies.retention._study import RetentionStudy
    from cotune.tasks import Task

_PROBE_PROMPTS = 16

Recipe = tuple[str, str]
"""A method and its options."""


@dataclass(frozen=True)
class _Work:
    """What a run does.

    Parameters
    ----------
    steps : tuple of int
        Optimiser steps, by stage.
    tokens : int
        Training tokens.
    prompts : int
        Prompts answered at all checkpoints.
    """

    steps: tuple[int, ...]
    tokens: int
    prompts: int


@dataclass(frozen=True)
class _Speed:
    """What a probe measured: seconds of a step by recipe and stage, of a prompt, and bytes."""

    step: dict[Recipe, tuple[float, ...]]
    prompt: float
    kept_bytes: dict[Recipe, int]
    peak_bytes: int


def plan_retention(study: RetentionStudy, *, measure: bool = True) -> Plan:
    """Count runs, steps, tokens and prompts, and measure a few of each."""
    study.check_folder()
    config = study.config
    notes = [f"{task}: {note}" for task, of_task in study.check().items() for note in of_task]
    runs = list(dict.fromkeys(study.cells.values()))
    work = {run: _work(study, run) for run in runs}
    early = sorted({run.method for run in runs if len(work[run].steps) > 1})
    if early and len(config.rates) > 1:
        notes.append(f"Early stages ({', '.join(early)}) are counted for every learning rate, and done once.")
    speed = _measure(study, runs) if measure else None
    asked = _target_prompts(study.targets) + count_prompts(study.evaluation, config.in_context)
    before = StagePlan("pretrained", 1, 0, None, None if speed is None else asked * speed.prompt, asked)
    after = StagePlan(
        "tuning",
        len(runs),
        sum(sum(of_run.steps) for of_run in work.values()),
        sum(of_run.tokens for of_run in work.values()),
        None if speed is None else sum(_seconds(run, of_run, speed) for run, of_run in work.items()),
        sum(of_run.prompts for of_run in work.values()),
    )
    workers = max(1, workers_of(study))
    wall = memory = disk = None
    if speed is not None:
        wall = sum(stage.cpu_seconds or 0.0 for stage in (before, after)) / workers
        memory = speed.peak_bytes * workers
        # A state holds the parameters, the best of them, and two moments of the optimiser.
        in_flight = workers * 4 * max(speed.kept_bytes.values())
        kept = sum(speed.kept_bytes[run.method, run.options] for run in runs) if config.keep else 0
        disk = in_flight + kept + 50_000 * len(runs)
    tasks = len(study.targets) + len(study.evaluation)
    return Plan(config.name, tasks, tuple(notes), (before, after), workers, wall, memory, disk)


def _work(study: RetentionStudy, run: TuneRun) -> _Work:
    method, config = tuning(run, study.config)
    names = [task.name for task in study.targets]
    stages = method.stages(config.steps, config.training, names)
    length = getattr(method, "prompt_length", 0) + mean_length(
        study.targets, study.encoder, method.demonstrations
    )
    prompts, changed = 0, False
    for stage in stages:
        checkpoints = len(config.due(stage.steps, stage.checkpoint_every))
        prompts += checkpoints * _target_prompts(study.targets)
        # Before the first step on the weights the model is the pretrained one, which is measured once.
        evaluated = checkpoints if changed else checkpoints - 1 if changes_weights(stage.trains) else 0
        prompts += evaluated * count_prompts(study.evaluation, study.config.in_context)
        changed |= changes_weights(stage.trains)
    tokens = sum(stage.steps * stage.training.batch_size * length for stage in stages)
    return _Work(tuple(stage.steps for stage in stages), round(tokens), prompts)


def _target_prompts(targets: Sequence[Task]) -> int:
    return sum(len(task[split]) for task in targets for split in ("validation", "test"))


def _seconds(run: TuneRun, work: _Work, speed: _Speed) -> float:
    steps = zip(work.steps, speed.step[run.method, run.options], strict=True)
    return sum(n * seconds for n, seconds in steps) + work.prompts * speed.prompt


def _measure(study: RetentionStudy, runs: Sequence[TuneRun]) -> _Speed:
    """Answer a few prompts, and do a few steps of every stage of every method."""
    from cotune.answering import evaluate_in_context

    model = study.config.load(study.base, study.encoder)
    few = study.config.in_context.model_copy(update={"draws": 1, "max_examples": _PROBE_PROMPTS})
    evaluate_in_context(model, model.base, study.evaluation[:1], few, seed=study.config.seed)
    begin = time.process_time()
    evaluate_in_context(model, model.base, study.evaluation, few, seed=study.config.seed)
    prompt = (time.process_time() - begin) / count_prompts(study.evaluation, few)
    steps: dict[Recipe, tuple[float, ...]] = {}
    sizes: dict[Recipe, int] = {}
    for run in runs:
        recipe = (run.method, run.options)
        if recipe not in steps:
            method, config = tuning(run, study.config)
            stages = method.stages(config.steps, config.training, [task.name for task in study.targets])
            steps[recipe], sizes[recipe] = time_method(model, method, study.targets, stages, study.base)
    return _Speed(steps, prompt, sizes, peak_memory())
