"""What a retention study will cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cotune.studies.engine import Costs, StagePlan, Usage
from cotune.studies.engine.probe import (
    ModelSpeed,
    Tuning,
    count_prompts,
    mean_length,
    measure_model,
    state_bytes,
)
from cotune.studies.retention._design import RetentionDesign, TuneRun, tuning
from cotune.studies.retention.config import changes_weights
from cotune.tasks import Task

_PROBE_PROMPTS = 16
_RECORD_BYTES = 50_000

_Recipe = tuple[str, str]
"""A method and its options."""


@dataclass(frozen=True)
class _Work:
    """What a run does.

    Parameters
    ----------
    tuning : Tuning
        Its method and stages.
    tokens : int
        Training tokens.
    prompts : int
        Prompts answered at all checkpoints.
    """

    tuning: Tuning
    tokens: int
    prompts: int

    @property
    def steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.tuning.stages)


def retention_costs(study: RetentionDesign, *, measure: bool) -> Costs:
    """Count runs, steps, tokens and prompts, and measure a few of each."""
    config = study.config
    work = {run: _work(study, run) for run in dict.fromkeys(study.cells.values())}
    notes = []
    early = sorted({run.method for run in work if len(work[run].tuning.stages) > 1})
    if early and len(config.rates) > 1:
        notes.append(f"Early stages ({', '.join(early)}) are counted for every learning rate, and done once.")
    speed = _measure(study, work) if measure else None
    asked = _target_prompts(study.targets) + count_prompts(study.evaluation, config.in_context)
    stages = (
        StagePlan("pretrained", 1, 0, None, None if speed is None else asked * speed.prompt, asked),
        StagePlan(
            "tuning",
            len(work),
            sum(of_run.steps for of_run in work.values()),
            sum(of_run.tokens for of_run in work.values()),
            None if speed is None else sum(_seconds(run, of_run, speed) for run, of_run in work.items()),
            sum(of_run.prompts for of_run in work.values()),
        ),
    )
    usage = None
    if speed is not None:
        kept = sum(speed.trained_bytes[_recipe(run)] for run in work) if config.keep else 0
        usage = Usage(
            process_bytes=speed.peak_bytes,
            in_flight_bytes=state_bytes(max(speed.trained_bytes.values())),
            kept_bytes=kept + _RECORD_BYTES * len(work),
        )
    return Costs(len(study.targets) + len(study.evaluation), stages, usage, tuple(notes))


def _work(study: RetentionDesign, run: TuneRun) -> _Work:
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
    return _Work(Tuning(method, stages, study.targets), round(tokens), prompts)


def _target_prompts(targets: Sequence[Task]) -> int:
    return sum(len(task[split]) for task in targets for split in ("validation", "test"))


def _recipe(run: TuneRun) -> _Recipe:
    return run.method, run.options


def _seconds(run: TuneRun, work: _Work, speed: ModelSpeed[_Recipe]) -> float:
    return speed.training(_recipe(run), work.tuning.stages) + work.prompts * speed.prompt


def _measure(study: RetentionDesign, work: dict[TuneRun, _Work]) -> ModelSpeed[_Recipe]:
    """Answer a few prompts, and do a few steps of every stage of every method."""
    # At another learning rate a step takes as long: the first run of a recipe stands for all.
    tunings = {_recipe(run): of_run.tuning for run, of_run in reversed(work.items())}
    return measure_model(
        study.config.load(study.base, study.encoder),
        study.evaluation,
        study.config.in_context,
        tunings,
        prompts=_PROBE_PROMPTS,
        seed=study.config.seed,
        base=study.base,
    )
