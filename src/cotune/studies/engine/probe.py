"""A few steps and prompts, to tell what many will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from cotune.studies.engine._worker import peak_memory
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.timing import MORE, AnswerLaws, Law, measure_answers, measure_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from cotune.answering import InContextConfig
    from cotune.models import LanguageModel
    from cotune.tasks import Task
    from cotune.training.batches import TaskBatch
    from cotune.training.methods import Attached, Method, Stage

RecipeT = TypeVar("RecipeT")
"""What tells tunings apart that take as long as one another."""


@dataclass(frozen=True)
class Tuning:
    """A method with its stages on some tasks, and those whose examples it may put beside."""

    method: Method
    stages: Sequence[Stage]
    tasks: Sequence[Task]
    others: Sequence[Task] = ()

    @property
    def steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def example(self, data: EncodedTasks, names: Sequence[str] = ()) -> float:
        """Return the mean tokens of an example of some of the tasks, or of all, behind its demonstrations."""
        names = names or [task.name for task in self.tasks]
        mean = float(np.mean([data.mean_length(name, "train") for name in names]))
        return mean * (1 + self.method.demonstrations)

    def tokens(self, data: EncodedTasks) -> float:
        """Return the tokens of all stages, with those of what stands beside the tasks' examples.

        Parameters
        ----------
        data : EncodedTasks
            The tasks as the model reads them, without demonstrations, and those beside them.
        """
        return sum(self._by_stage(data))

    def seconds(self, laws: Sequence[Law], data: EncodedTasks) -> float:
        """Return the processor seconds of all stages, whose steps take what laws say."""
        parts = zip(laws, self.stages, self._by_stage(data), strict=True)
        return sum(law(stage.steps, tokens) for law, stage, tokens in parts)

    def _by_stage(self, data: EncodedTasks) -> list[float]:
        return [0.0 if stage.mixes else self._of_stage(stage, data) for stage in self.stages]

    def _of_stage(self, stage: Stage, data: EncodedTasks) -> float:
        held = self.example(data, stage.tasks) + self.method.virtual_tokens
        beside = data.expected_replay_tokens(stage.training, stage.steps)
        return stage.steps * stage.training.batch_size * held + beside


@dataclass(frozen=True)
class ModelSpeed(Generic[RecipeT]):
    """What a probe measured of a model.

    Parameters
    ----------
    answers : AnswerLaws
        Of questions.
    steps : mapping of recipe to tuple of Law
        Of steps in tokens of their examples, by stage.
    trained_bytes : mapping of recipe to int
        Of what is trained.
    peak_bytes : int
        Largest resident memory.
    """

    answers: AnswerLaws
    steps: Mapping[RecipeT, tuple[Law, ...]]
    trained_bytes: Mapping[RecipeT, int]
    peak_bytes: int


def state_bytes(trained: int) -> int:
    """Return the size of a tuning's state: parameters, the best of them, and two moments of the optimiser."""
    return 4 * trained


def measure_model(
    model: LanguageModel,
    tasks: Sequence[Task],
    in_context: InContextConfig,
    tunings: Mapping[RecipeT, Tuning],
    *,
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
    seed : int
        Of the demonstrations.
    base : Path
        Folder that relative paths of text to replay start from.
    """
    answers = time_answers(model, tasks, in_context, seed=seed)
    known: dict[str, Law] = {}
    timed = {recipe: time_method(model, tuning, base, known) for recipe, tuning in tunings.items()}
    steps = {recipe: laws for recipe, (laws, _) in timed.items()}
    sizes = {recipe: trained for recipe, (_, trained) in timed.items()}
    return ModelSpeed(answers, steps, sizes, peak_memory())


def time_answers(
    model: LanguageModel,
    tasks: Sequence[Task],
    in_context: InContextConfig,
    *,
    seed: int,
    module: nn.Module | None = None,
) -> AnswerLaws:
    """Put a few questions of two tasks to a model, with the most demonstrations.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base.
    tasks : sequence of Task
        What it is put to.
    in_context : InContextConfig
        How.
    seed : int
        Of the demonstrations.
    module : Module, optional
        What is asked, by default the base.
    """
    from cotune.answering import TaskPrompts
    from cotune.tasks import get_metric

    few = in_context.model_copy(
        update={"draws": 1, "max_examples": MORE // 2, "shots": (sorted(in_context.shots)[-1],)}
    )
    # Those that have something to write, if any have.
    chosen = sorted(tasks, key=lambda task: get_metric(task.metric).needs != "text")[:2]
    examples = []
    for task in chosen:
        prompts = TaskPrompts(task, few, model.encoder, seed=seed, context=model.context)
        examples += [encoded for draw in prompts.draws for encoded in prompts.scored(*draw)]
    writes = any(get_metric(task.metric).needs == "text" for task in tasks)
    return measure_answers(model, module or model.base, examples, writes=writes)


def count_prompts(tasks: Sequence[Task], config: InContextConfig) -> int:
    """Count the prompts of one in-context evaluation."""
    asked = sum(config.draws if shots else 1 for shots in config.shots)
    return asked * sum(len(task[config.split][: config.max_examples]) for task in tasks)


def time_method(
    model: LanguageModel, tuning: Tuning, base: Path = Path(), known: dict[str, Law] | None = None
) -> tuple[tuple[Law, ...], int]:
    """Return the laws of the steps of each of a method's stages, and the bytes of what is trained.

    Parameters
    ----------
    model : LanguageModel
        The base; afterwards as before.
    tuning : Tuning
        What is trained, on which tasks.
    base : Path
        Folder that relative paths of text to replay start from.
    known : dict of str to Law, optional
        Laws of stages measured before, to which those measured now are added; stages that train as many
        parameters under as long a prompt take as long.
    """
    known = {} if known is None else known
    method, names = tuning.method, [task.name for task in tuning.tasks]
    data = EncodedTasks(
        tuning.tasks,
        lambda: model.encoder,
        demonstrations=method.demonstrations,
        base=base,
        others=tuning.others,
    )
    laws = []
    with method.attach(model, names) as attached:
        for stage in tuning.stages:
            kind = _kind(method, attached, stage)
            if kind not in known:
                batches = partial(_batches, model, attached, data, stage)
                known[kind] = measure_steps(model, attached, stage, batches, _tokens)
            laws.append(known[kind])
        return tuple(laws), sum(p.numel() * p.element_size() for p in attached.parameters)


def _kind(method: Method, attached: Attached, stage: Stage) -> str:
    """Tell stages apart whose steps take as long as one another."""
    trained = sorted(parameter.numel() for part in stage.trains for parameter in attached.parts[part])
    recipe = stage.training.model_dump_json(exclude={"learning_rate", "schedule", "warmup", "max_loss"})
    how = ", ".join(("mixes",) if stage.mixes else attached.terms.names)
    return (
        f"{sum(trained)} in {len(trained)}, {method.virtual_tokens}, {method.demonstrations}, {how}, {recipe}"
    )


def _batches(
    model: LanguageModel, attached: Attached, data: EncodedTasks, stage: Stage, examples: int
) -> Iterator[TaskBatch]:
    training = stage.training.model_copy(update={"batch_size": examples, "tasks_per_batch": 1})
    names = stage.tasks or tuple(data.tasks)
    return data.batches(names, training, 0, prompt_ids=attached.prompt_ids, context=model.context)


def _tokens(batch: TaskBatch) -> float:
    return batch.tokens + batch.replay_tokens
