"""A few steps and prompts, to tell what many will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cotune.training.encoded_tasks import EncodedTasks

if TYPE_CHECKING:
    from cotune.answering import InContextConfig
    from cotune.models import Encoder, LanguageModel
    from cotune.tasks import Task
    from cotune.training.config import TrainingConfig
    from cotune.training.methods import Attached, Method, Stage

_FEW, _MORE = 2, 8
"""Examples in the probes' batches: a step costs something of its own, and something for each example."""


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
            each = max(more - few, 0.0) / (_MORE - _FEW)
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
