"""What a transfer study will cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cotune.answering import InContextConfig, count_in_context
from cotune.studies.engine import Costs, StagePlan, Usage
from cotune.studies.engine.probe import (
    ModelSpeed,
    Tuning,
    count_prompts,
    measure_model,
    state_bytes,
)
from cotune.studies.transfer._design import (
    InstructRun,
    MarkedRun,
    TransferDesign,
    TransferStudyRun,
    due_of,
    gradients_due,
    tuning,
)
from cotune.tasks import Task
from cotune.training.encoded_tasks import EncodedTasks

_Recipe = tuple[str, ...]
"""A method, its options and the recipe of its training."""

_FINE_TUNING: _Recipe = ()
"""That of fine-tuning on held-out tasks."""


@dataclass(frozen=True)
class _Speed:
    """What a probe measured.

    Parameters
    ----------
    model : ModelSpeed
        Of steps and questions.
    asked, in_context : mapping of str to float
        By held-out task the seconds of all its questions without demonstrations, and in context, each of them
        for an answer and for the likelihood of the target.
    """

    model: ModelSpeed[_Recipe]
    asked: Mapping[str, float]
    in_context: Mapping[str, float]


def transfer_costs(study: TransferDesign, *, measure: bool, stored: Collection[str] = ()) -> Costs:
    """Count runs, steps, tokens and prompts of what is not stored yet, and measure a few of each.

    Parameters
    ----------
    study : TransferDesign
        The study.
    measure : bool
        Whether to measure.
    stored : collection of str
        Keys of the runs that are done.
    """
    note = "A checkpoint's fine-tunings of LoRA share passes, which the figures do not take into account."
    wanted = study.runs
    left = {title: [run for run in runs if study.key(run) not in stored] for title, runs in wanted.items()}
    tunings = [run for run in left["tuning"] if isinstance(run, InstructRun)]
    speed = _measure(study, tunings) if measure and any(left.values()) else None
    plans = {
        "pretrained": _measuring(study, left["pretrained"], speed),
        "tuning": _tuning(study, tunings, speed),
        "measuring": _measuring(study, left["measuring"], speed),
    }
    stages = tuple(
        StagePlan(title, len(wanted[title]), *plan, stored=len(wanted[title]) - len(left[title]))
        for title, plan in plans.items()
    )
    usage = None
    if speed is not None:
        sizes = {run: speed.model.trained_bytes[_recipe(run)] for run in tunings}
        usage = Usage(
            process_bytes=speed.model.peak_bytes,
            in_flight_bytes=state_bytes(max(sizes.values(), default=0)),
            kept_bytes=sum(size * len(due_of(run, study.config)) for run, size in sizes.items()),
        )
    return Costs(len(study.train) + len(study.held_out), stages, usage, (note,))


def _recipe(run: InstructRun) -> _Recipe:
    return run.method, run.options, run.training


def _tuning_of(study: TransferDesign, run: InstructRun) -> Tuning:
    method, recipe = tuning(run, study.config)
    tasks = [task for task in study.train if task.name in run.tasks]
    return Tuning(method, method.stages(run.steps, recipe.training, run.tasks), tasks)


_Counts = tuple[int, int, float | None, int | None]
"""Steps, tokens, seconds and prompts of some runs."""


def _tuning(study: TransferDesign, runs: Sequence[InstructRun], speed: _Speed | None) -> _Counts:
    steps, tokens, seconds = 0, 0.0, 0.0
    data = EncodedTasks(study.train, lambda: study.encoder, base=study.base)
    for run in runs:
        of_run = _tuning_of(study, run)
        steps += of_run.steps
        tokens += of_run.tokens(data)
        # A gradient is a step without the optimiser's: some examples of every task, forward and back.
        passed = len(gradients_due(run, study.config)) * len(run.tasks) * study.config.gradient_examples
        if speed is not None:
            laws = speed.model.steps[_recipe(run)]
            seconds += of_run.seconds(laws, data)
            seconds += laws[-1](passed / study.config.training.batch_size, passed * of_run.example(data))
    return steps, round(tokens), None if speed is None else seconds, None


def _measuring(study: TransferDesign, runs: Sequence[TransferStudyRun], speed: _Speed | None) -> _Counts:
    config, few = study.config, study.config.transfer
    by_name = {task.name: task for task in study.held_out}
    data = EncodedTasks(study.held_out, lambda: study.encoder)
    steps, prompts, tokens, seconds = 0, 0, 0.0, 0.0
    for run in runs:
        assert not isinstance(run, InstructRun)
        task, marked = by_name[run.task], isinstance(run, MarkedRun)
        tunings = few.draws * sum(1 for n in run.examples if n)
        times = few.draws * len(run.examples)
        asked = len(task[config.in_context.split][: config.in_context.max_examples])
        # Every question is asked twice, for an answer and for the likelihood of the target.
        prompts += 2 * (times * asked + (0 if marked else count_prompts([task], config.in_context)))
        steps += few.steps * tunings
        seen = few.steps * tunings * few.training.batch_size * data.mean_length(run.task, "train")
        tokens += seen
        if speed is not None:
            law = speed.model.steps[_FINE_TUNING][-1]
            seconds += law(few.steps * tunings, seen)
            seconds += times * speed.asked[run.task] + (0 if marked else speed.in_context[run.task])
    return steps, round(tokens), None if speed is None else seconds, prompts


def _measure(study: TransferDesign, runs: Sequence[InstructRun]) -> _Speed:
    """Answer a few prompts, and do a few steps of every tuning and of the fine-tunings."""
    config, few = study.config, study.config.transfer
    first, how = study.held_out[:1], config.in_context
    tunings = {_recipe(run): _tuning_of(study, run) for run in reversed(runs)}
    stages = few.method.stages(few.steps, few.training, [task.name for task in first])
    model = config.load(study.base, study.encoder)
    tunings[_FINE_TUNING] = Tuning(few.method, stages, first)
    speed = measure_model(model, study.held_out, how, tunings, seed=config.seed, base=study.base)
    alone = how.model_copy(update={"shots": (0,), "draws": 1})

    def seconds(task: Task, how: InContextConfig) -> float:
        asked = count_in_context(model, [task], how, seed=config.seed)
        return speed.answers(asked) + speed.answers(asked._replace(written=0))

    return _Speed(
        speed,
        {task.name: seconds(task, alone) for task in study.held_out},
        {task.name: seconds(task, how) for task in study.held_out},
    )
