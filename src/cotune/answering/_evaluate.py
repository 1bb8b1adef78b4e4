from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cotune.answering._choices import choice_scores
from cotune.answering._config import InContextConfig
from cotune.answering._format_notes import format_notes
from cotune.answering._gold import gold_notes
from cotune.answering._postprocessing import extract_answer
from cotune.answering._prompts import TaskPrompts
from cotune.answering._score import InContextScore
from cotune.exceptions import RunError
from cotune.tasks import Example, Metric, SampleAnswer, Task, get_metric, stops_of

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import Encoded, Encoder, LanguageModel

Progress = Callable[[int, int], None]
"""Called with the number of prompts answered so far and of all prompts."""


QUESTIONS_SEED = 0
"""Draws the demonstrations where no other seed is asked for: runs of every seed are asked the same."""


def check_in_context(
    tasks: Sequence[Task],
    config: InContextConfig,
    encoder: Encoder,
    *,
    seeds: Iterable[int] = (QUESTIONS_SEED,),
) -> dict[str, tuple[str, ...]]:
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

    Returns
    -------
    dict of str to tuple of str
        By task a sentence for the format it is put in, where there is a choice, for examples that are left
        out, and for right answers that would not score 1.

    Raises
    ------
    InputError
        If a task has no examples to evaluate, fewer training examples than shots, a choice that is too long,
        or demonstrations that do not fit the prompt even without any input; names the task and the numbers.
    """
    notes: dict[str, tuple[str, ...]] = {}
    lengths: dict[str, int | None] = {}
    for seed in seeds:
        for task in tasks:
            prompts = TaskPrompts(task, config, encoder, seed=seed, lengths=lengths)
            prompts.check()
            if task.name not in notes:
                notes[task.name] = (
                    *format_notes(task, encoder),
                    *prompts.notes,
                    *gold_notes(task, encoder, config, config.split),
                )
    return notes


def merge_notes(*notes: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Put the sentences about tasks together, each once, in their order."""
    merged: dict[str, tuple[str, ...]] = {}
    for some in notes:
        for task, of_task in some.items():
            merged[task] = tuple(dict.fromkeys((*merged.get(task, ()), *of_task)))
    return merged


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

    @property
    def examples(self) -> dict[str, tuple[Example, ...]]:
        """By task the examples that are asked, in the order of the answers."""
        return {prompts.task.name: prompts.examples for prompts in self._prepared}

    def of_likelihoods(self) -> list[Encoded]:
        """Return all whose likelihood is asked for: targets, or choices that answers are taken from."""
        return [
            encoded
            for prompts in self._prepared
            for shots, draw in prompts.draws
            for encoded in _likelihoods(prompts, self._config, shots, draw)
        ]

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

    def sample(self, model: LanguageModel, module: nn.Module, most: int) -> dict[str, tuple[str, ...]]:
        """Return what a model answers to the first examples of every task, whatever the metric.

        Parameters
        ----------
        model : LanguageModel
            Tokenizer and base of the module.
        module : Module
            The base model, or the base model under an adapter.
        most : int
            Examples of a task.
        """
        with _evaluating(module):
            return {
                prompts.task.name: tuple(
                    _answer(model, module, prompts, self._config, *prompts.draws[0], most=most)
                )
                for prompts in self._prepared
            }

    def sampled(
        self,
        before: Mapping[str, Sequence[str]],
        after: Mapping[str, Sequence[str]],
    ) -> dict[str, tuple[SampleAnswer, ...]]:
        """Put the answers of :meth:`sample` before and after training beside the examples."""
        return {
            prompts.task.name: tuple(
                SampleAnswer(example.input, example.targets[0], old, new)
                for example, old, new in zip(
                    prompts.examples, before[prompts.task.name], after[prompts.task.name], strict=False
                )
            )
            for prompts in self._prepared
        }


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
    encoded = prompts.scored(shots, draw)
    if metric.needs == "likelihood":
        losses = model.nll(module, encoded, batch_tokens=config.batch_tokens)
        _check_finite(task, losses)
        values = [
            metric.score([-loss], example.targets)
            for loss, example in zip(losses, prompts.examples, strict=True)
        ]
    else:
        answers = _answer(model, module, prompts, config, shots, draw)
        targets = [example.targets for example in prompts.examples]
        values = (
            list(map(metric.score, answers, targets))
            if metric.parts is None
            else metric.parts(answers, targets)
        )
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


def _likelihoods(prompts: TaskPrompts, config: InContextConfig, shots: int, draw: int) -> list[Encoded]:
    if get_metric(prompts.task.metric).needs == "likelihood":
        return prompts.scored(shots, draw)
    if config.classification != "likelihood":
        return []
    options = zip(prompts.examples, prompts.options(shots, draw), strict=True)
    return [encoded for example, of_example in options if example.choices for encoded in of_example]


def _answer(
    model: LanguageModel,
    module: nn.Module,
    prompts: TaskPrompts,
    config: InContextConfig,
    shots: int,
    draw: int,
    *,
    most: int | None = None,
) -> list[str]:
    """Return what is taken as the answer to all or the first examples: a choice, or what is written."""
    ranked = config.classification == "likelihood"
    examples = prompts.examples[:most]
    answers = [""] * len(examples)
    closed = [at for at, example in enumerate(examples) if ranked and example.choices]
    open_ended = [at for at, example in enumerate(examples) if not (ranked and example.choices)]
    if closed:
        options = prompts.options(shots, draw)
        asked = [options[at] for at in closed]
        scores = choice_scores(model, module, asked, config.label_score, config.batch_tokens)
        for at, of_example in zip(closed, scores, strict=True):
            _check_finite(prompts.task, of_example)
            answers[at] = examples[at].choices[int(np.argmax(of_example))]
    if open_ended:
        encoded = prompts.prompts(shots, draw)
        stops = stops_of(prompts.task, line_breaks=model.encoder.line_breaks)
        texts = model.generate(
            module,
            [encoded[at] for at in open_ended],
            max_new_tokens=prompts.max_new_tokens,
            batch_tokens=config.batch_tokens,
            num_beams=config.num_beams,
            stops=stops,
        )
        for at, text in zip(open_ended, texts, strict=True):
            answers[at] = extract_answer(text, stops, examples[at])
    return answers


def _check_finite(task: Task, losses: NDArray[np.float64]) -> None:
    if not np.isfinite(losses).all():
        raise RunError(f"A likelihood of task {task.name} is not finite; the model's weights are unusable.")
