"""What a retention study will cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cotune.answering import NOT_ASKED, count_in_context
from cotune.studies.engine import Costs, StagePlan, Usage
from cotune.studies.engine.probe import (
    ModelSpeed,
    Tuning,
    count_prompts,
    measure_model,
    state_bytes,
)
from cotune.studies.retention._design import PretrainedRun, RetentionDesign, TuneRun, tuning
from cotune.studies.retention.config import changes_weights
from cotune.tasks import Task
from cotune.training.encoded_tasks import EncodedTasks

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
    tokens : float
        Training tokens of all its stages.
    on_targets, in_context : int
        How often the targets, and the other tasks, are asked.
    """

    tuning: Tuning
    tokens: float
    on_targets: int
    in_context: int


def retention_costs(study: RetentionDesign, *, measure: bool, stored: Collection[str] = ()) -> Costs:
    """Count runs, steps, tokens and prompts of what is not stored yet, and measure a few of each.

    Parameters
    ----------
    study : RetentionDesign
        The study.
    measure : bool
        Whether to measure.
    stored : collection of str
        Keys of the runs that are done.
    """
    config = study.config
    every = list(dict.fromkeys(study.cells.values()))
    data = EncodedTasks(study.targets, lambda: study.encoder, base=study.base, others=study.others)
    work = {run: _work(study, run, data) for run in every if study.key(run) not in stored}
    notes = list(study.doubled)
    early = sorted({run.method for run in work if len(work[run].tuning.stages) > 1})
    if early and len(config.rates) > 1:
        notes.append(f"Early stages ({', '.join(early)}) are counted for every learning rate, and done once.")
    first = [] if study.key(PretrainedRun()) in stored else [PretrainedRun()]
    speed = _measure(study, work) if measure and (work or first) else None
    on_targets, in_context = (
        _target_prompts(study.targets),
        count_prompts(study.evaluation, config.in_context),
    )
    asked = len(first) * (on_targets + in_context)
    seconds = None if speed is None else len(first) * (speed.on_targets + speed.in_context)
    tuned = None if speed is None else sum(speed.of(run, of_run, data) for run, of_run in work.items())
    stages = (
        StagePlan("pretrained", 1, 0, None, seconds, asked, 1 - len(first)),
        StagePlan(
            "tuning",
            len(every),
            sum(of_run.tuning.steps for of_run in work.values()),
            sum(round(of_run.tokens) for of_run in work.values()),
            tuned,
            sum(run.on_targets * on_targets + run.in_context * in_context for run in work.values()),
            len(every) - len(work),
        ),
    )
    usage = None
    if speed is not None:
        sizes = [speed.model.trained_bytes[_recipe(run)] for run in work]
        usage = Usage(
            process_bytes=speed.model.peak_bytes,
            in_flight_bytes=state_bytes(max(sizes, default=0)),
            kept_bytes=(sum(sizes) if config.keep else 0) + _RECORD_BYTES * len(work),
        )
    return Costs(len(study.targets) + len(study.evaluation), stages, usage, tuple(notes))


def _work(study: RetentionDesign, run: TuneRun, data: EncodedTasks) -> _Work:
    method, config = tuning(run, study.config)
    names = [task.name for task in study.targets]
    stages = method.stages(config.steps, config.training, names)
    on_targets = in_context = 0
    changed = False
    for stage in stages:
        checkpoints = len(config.due(stage.steps, stage.checkpoint_every))
        on_targets += checkpoints
        # Before the first step on the weights the model is the pretrained one, which is measured once.
        # So it is before the first step of a stage that mixes.
        if changed or changes_weights(stage.trains):
            in_context += checkpoints - (not changed or bool(stage.mixes))
        changed |= changes_weights(stage.trains)
    of_run = Tuning(method, stages, study.targets, study.others)
    return _Work(of_run, of_run.tokens(data), on_targets, in_context)


def _target_prompts(targets: Sequence[Task]) -> int:
    return sum(len(task[split]) for task in targets for split in ("validation", "test"))


def _recipe(run: TuneRun) -> _Recipe:
    return run.method, run.options


@dataclass(frozen=True)
class _Speed:
    """What a probe measured, and the processor seconds of asking all targets, and all other tasks."""

    model: ModelSpeed[_Recipe]
    on_targets: float
    in_context: float

    def of(self, run: TuneRun, work: _Work, data: EncodedTasks) -> float:
        """Return the seconds of a run."""
        training = work.tuning.seconds(self.model.steps[_recipe(run)], data)
        return training + work.on_targets * self.on_targets + work.in_context * self.in_context


def _measure(study: RetentionDesign, work: dict[TuneRun, _Work]) -> _Speed:
    """Answer a few prompts, and do a few steps of every stage of every method."""
    config = study.config
    # At another learning rate a step takes as long: the first run of a recipe stands for all.
    tunings = {_recipe(run): of_run.tuning for run, of_run in reversed(work.items())}
    model = config.load(study.base, study.encoder)
    speed = measure_model(
        model, study.evaluation, config.in_context, tunings, seed=config.seed, base=study.base
    )
    on_targets = NOT_ASKED
    for split in ("validation", "test"):
        how = config.in_context.on_trained(split, 0)
        on_targets = on_targets.plus(count_in_context(model, study.targets, how, seed=config.seed))
    others = count_in_context(model, study.evaluation, config.in_context, seed=config.seed)
    return _Speed(speed, speed.answers(on_targets), speed.answers(others))
