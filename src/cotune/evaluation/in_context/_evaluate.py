from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from cotune.evaluation.in_context._config import InContextConfig
from cotune.evaluation.in_context._postprocessing import extract_answer
from cotune.evaluation.in_context._prompts import TaskPrompts
from cotune.evaluation.in_context._score import InContextScore
from cotune.exceptions import RunError
from cotune.models import Encoded
from cotune.tasks import Metric, Task, get_metric, stops_of

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import Encoder, LanguageModel

Progress = Callable[[int, int], None]
"""Called with the number of prompts answered so far and of all prompts."""


def check_in_context(
    tasks: Sequence[Task], config: InContextConfig, encoder: Encoder, *, seeds: Iterable[int] = (0,)
) -> None:
    """See before anything is computed that every prompt of an evaluation can be made.

    Parameters
    ----------
    tasks : sequence of Task
        The tasks to evaluate.
    config : InContextConfig
        How.
    encoder : Encoder
        The model's tokenizer and limits; no weights are needed.
    seeds : iterable of int
        Under which demonstrations will be drawn.

    Raises
    ------
    InputError
        If a task has no examples to evaluate, fewer training examples than shots, or demonstrations that do
        not fit the prompt even without any input; names the task and the numbers.
    """
    for seed in seeds:
        for task in tasks:
            TaskPrompts(task, config, encoder, seed=seed).check()


def evaluate_in_context(
    model: LanguageModel,
    module: nn.Module,
    tasks: Sequence[Task],
    config: InContextConfig,
    *,
    seed: int,
    soft_prompts: Mapping[str, tuple[int, ...]] | None = None,
    progress: Progress | None = None,
) -> list[InContextScore]:
    """Evaluate a model on tasks in context: k-shot prompts, answers, post-processing, metrics.

    The demonstrations depend on the seed, the draw and the task alone, so that two models, or two checkpoints
    of one, are asked the same questions.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base of the module.
    module : Module
        The base model, or the base model under an adapter.
    tasks : sequence of Task
        Each is scored with its own metric, under its own prompt format.
    config : InContextConfig
        Shots, draws, how answers are taken.
    seed : int
        Under which demonstrations are drawn; not negative.
    soft_prompts : mapping of str to tuple of int, optional
        By task name the ids of a soft prompt that stands before everything, demonstrations included.
    progress : callable, optional
        See :data:`Progress`.

    Returns
    -------
    list of InContextScore
        One for each task, number of shots and draw, in this order.

    Raises
    ------
    InputError
        See :func:`check_in_context`.
    RunError
        If a likelihood is not finite; names the task.
    """
    evaluation = InContextEvaluation(
        tasks, config, model.encoder, seed=seed, soft_prompts=soft_prompts, context=model.context
    )
    return evaluation.run(model, module, progress)


class InContextEvaluation:
    """Tasks made ready to be evaluated in context, again and again: their prompts are encoded once.

    Parameters
    ----------
    tasks, config, seed, soft_prompts
        See :func:`evaluate_in_context`.
    encoder : Encoder
        The tokenizer of the models evaluated.
    context : int, optional
        The most tokens that the models can hold.

    Raises
    ------
    InputError
        If a task has no examples to evaluate; names it.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        config: InContextConfig,
        encoder: Encoder,
        *,
        seed: int,
        soft_prompts: Mapping[str, tuple[int, ...]] | None = None,
        context: int | None = None,
    ) -> None:
        self._config = config
        self._prepared = [
            TaskPrompts(
                task,
                config,
                encoder,
                seed=seed,
                soft_prompt=tuple((soft_prompts or {}).get(task.name, ())),
                context=context,
            )
            for task in tasks
        ]
        self.n_prompts = sum(len(prompts.examples) * len(prompts.draws) for prompts in self._prepared)
        """Prompts of one evaluation."""

    def run(
        self, model: LanguageModel, module: nn.Module, progress: Progress | None = None
    ) -> list[InContextScore]:
        """Evaluate a model; see :func:`evaluate_in_context`."""
        scores: list[InContextScore] = []
        done = 0
        with _evaluating(module):
            for prompts in self._prepared:
                for shots, draw in prompts.draws:
                    scores.append(_evaluate(model, module, prompts, self._config, shots, draw))
                    done += len(prompts.examples)
                    if progress is not None:
                        progress(done, self.n_prompts)
        return scores


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Switch dropout off, and leave every part of the module in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _evaluate(
    model: LanguageModel,
    module: nn.Module,
    prompts: TaskPrompts,
    config: InContextConfig,
    shots: int,
    draw: int,
) -> InContextScore:
    task = prompts.task
    metric = get_metric(task.metric)
    answers: list[str] = []
    if metric.needs == "likelihood":
        encoded = prompts.scored(shots, draw)
        losses = _finite(task, model.nll(module, encoded, batch_tokens=config.batch_tokens))
        values = [
            metric.score([-loss], example.targets)
            for loss, example in zip(losses, prompts.examples, strict=True)
        ]
    else:
        encoded, answers = _answer(model, module, prompts, config, shots, draw)
        values = [
            metric.score(answer, example.targets)
            for answer, example in zip(answers, prompts.examples, strict=True)
        ]
    return InContextScore(
        task=task.name,
        shots=shots,
        draw=draw,
        metric=metric.name,
        value=_overall(metric, values, answers, prompts),
        higher_is_better=metric.higher_is_better,
        per_example=tuple(map(float, values)),
        answers=tuple(answers),
        n_cut=sum(one.n_cut > 0 for one in encoded),
    )


def _overall(metric: Metric, values: Sequence[float], answers: Sequence[str], prompts: TaskPrompts) -> float:
    if metric.corpus is None:
        return float(np.mean(values))
    return metric.corpus(answers, [example.targets for example in prompts.examples])


def _answer(
    model: LanguageModel,
    module: nn.Module,
    prompts: TaskPrompts,
    config: InContextConfig,
    shots: int,
    draw: int,
) -> tuple[list[Encoded], list[str]]:
    """Return the prompts with what the model answers to them."""
    if config.classification == "likelihood" and all(example.choices for example in prompts.examples):
        options = prompts.options(shots, draw)
        flat = [option for of_example in options for option in of_example]
        losses = iter(_finite(prompts.task, model.nll(module, flat, batch_tokens=config.batch_tokens)))
        answers = []
        for example, of_example in zip(prompts.examples, options, strict=True):
            weights = [len(one.target) if config.label_score == "sum" else 1 for one in of_example]
            ranked = [next(losses) * weight for weight in weights]
            answers.append(example.choices[int(np.argmin(ranked))])
        return [of_example[0] for of_example in options], answers
    stops = stops_of(prompts.task)
    encoded = prompts.prompts(shots, draw)
    texts = model.generate(
        module,
        encoded,
        max_new_tokens=prompts.max_new_tokens,
        batch_tokens=config.batch_tokens,
        num_beams=config.num_beams,
        stops=stops,
    )
    return encoded, [
        extract_answer(text, stops, example) for text, example in zip(texts, prompts.examples, strict=True)
    ]


def _finite(task: Task, losses: np.ndarray) -> np.ndarray:
    if not np.isfinite(losses).all():
        raise RunError(f"A likelihood of task {task.name} is not finite; the model's weights are unusable.")
    return losses
