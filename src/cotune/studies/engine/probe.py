"""A few steps and prompts, to tell what many will take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from cotune.studies.engine._worker import peak_memory
from cotune.training.encoded_tasks import EncodedTasks

if TYPE_CHECKING:
    from cotune.answering import InContextConfig
    from cotune.models import Encoder, LanguageModel
    from cotune.tasks import Task
    from cotune.training.config import TrainingConfig
    from cotune.training.methods import Attached, Method, Stage

_FEW, _MORE = 2, 8
"""Examples in the probes' batches: a step costs something of its own, and something for each example."""


RecipeT = TypeVar("RecipeT")
"""What tells tunings apart that take as long as one another."""


@dataclass(frozen=True)
class Tuning:
    """A method with its stages on some tasks."""

    method: Method
    stages: Sequence[Stage]
    tasks: Sequence[Task]


@dataclass(frozen=True)
class ModelSpeed(Generic[RecipeT]):
    """What a probe measured of a model.

    Parameters
    ----------
    prompt : float
        Seconds of a prompt.
    step : mapping of recipe to tuple of float
        Seconds of a step, by stage.
    trained_bytes : mapping of recipe to int
        Of what is trained.
    peak_bytes : int
        Largest resident memory.
    """

    prompt: float
    step: Mapping[RecipeT, tuple[float, ...]]
    trained_bytes: Mapping[RecipeT, int]
    peak_bytes: int

    def training(self, recipe: RecipeT, stages: Sequence[Stage]) -> float:
        """Return the seconds of a whole tuning."""
        pairs = zip(stages, self.step[recipe], strict=True)
        return sum(stage.steps * seconds for stage, seconds in pairs)


def state_bytes(trained: int) -> int:
    """Return the size of a tuning's state: parameters, the best of them, and two moments of the optimiser."""
    return 4 * trained


def measure_model(
    model: LanguageModel,
    tasks: Sequence[Task],
    in_context: InContextConfig,
    tunings: Mapping[RecipeT, Tuning],
    *,
    prompts: int,
    seed: int,
    base: Path,
) -> ModelSpeed[RecipeT]:
    """Answer a few prompts, and do a few steps of every stage of every tuning.

    Parameters
    ----------
    model : LanguageModel
        The base; afterwards as before.
    tasks : sequence of Task
        Put to it in context.
    in_context : InContextConfig
        How.
    tunings : mapping of recipe to Tuning
        One of each kind.
    prompts : int
        Examples of each task that are asked.
    seed : int
        Of the demonstrations.
    base : Path
        Folder that relative paths of text to replay start from.
    """
    from cotune.answering import evaluate_in_context

    few = in_context.model_copy(update={"draws": 1, "max_examples": prompts})
    evaluate_in_context(model, model.base, tasks[:1], few, seed=seed)
    begin = time.process_time()
    evaluate_in_context(model, model.base, tasks, few, seed=seed)
    prompt = (time.process_time() - begin) / count_prompts(tasks, few)
    timed = {
        recipe: time_method(model, tuning.method, tuning.tasks, tuning.stages, base)
        for recipe, tuning in tunings.items()
    }
    steps = {recipe: seconds for recipe, (seconds, _) in timed.items()}
    sizes = {recipe: trained for recipe, (_, trained) in timed.items()}
    return ModelSpeed(prompt, steps, sizes, peak_memory())


def count_prompts(tasks: Sequence[Task], config: InContextConfig) -> int:
    """Count the prompts of one in-context evaluation."""
    asked = sum(config.draws if shots else 1 for shots in config.shots)
    return asked * sum(len(task[config.split][: config.max_examples]) for task in tasks)


def mean_length(tasks: Sequence[Task], encoder: Encoder, demonstrations: int) -> float:
    """Return the mean tokens of a training example with its demonstrations, about."""
    data = EncodedTasks(tasks, lambda: encoder)
    lengths = [np.mean([len(example) for example in data.encoded(task.name, "train")]) for task in tasks]
    return float(np.mean(lengths)) * (1 + demonstrations)


def time_method(
    model: LanguageModel,
    method: Method,
    tasks: Sequence[Task],
    stages: Sequence[Stage],
    base: Path = Path(),
) -> tuple[tuple[float, ...], int]:
    """Return the seconds of a step of each of a method's stages, and the bytes of what is trained.

    Parameters
    ----------
    model : LanguageModel
        The base; afterwards as before.
    method : Method
        What is trained.
    tasks : sequence of Task
        On which tasks.
    stages : sequence of Stage
        The method's.
    base : Path
        Folder that relative paths of text to replay start from.
    """
    data = EncodedTasks(tasks, lambda: model.encoder, demonstrations=method.demonstrations, base=base)
    seconds = []
    with method.attach(model, [task.name for task in tasks]) as attached:
        for stage in stages:
            few = _time_step(model, attached, data, stage, _FEW)
            more = _time_step(model, attached, data, stage, _MORE)
            # As many examples more that took no longer: the most that one can take is its share of all.
            each = (more - few) / (_MORE - _FEW) if more > few else more / _MORE
            seconds.append(max(few - _FEW * each, 0.0) + stage.training.batch_size * each)
        return tuple(seconds), sum(p.numel() * p.element_size() for p in attached.parameters)


def _time_step(
    model: LanguageModel, attached: Attached, data: EncodedTasks, stage: Stage, examples: int
) -> float:
    """Return the processor time of the second of two steps on a few examples."""
    from cotune.training.stages import begin_stage

    changes = {"batch_size": examples, "tasks_per_batch": 1}
    training: TrainingConfig = stage.training.model_copy(update=changes)
    ends: list[float] = []
    batches = data.batches(
        list(data.tasks), training, 0, prompt_ids=attached.prompt_ids, context=model.context
    )
    run = begin_stage(model, attached, replace(stage, steps=2, training=training))
    run.run(batches, lambda step, loss: ends.append(time.process_time()))
    return ends[1] - ends[0]
