from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from cotune.answering import InContextConfig, InContextEvaluation, check_in_context
from cotune.evaluation.transfer._config import TransferConfig
from cotune.evaluation.transfer._fine_tune import FineTuning, fine_tune
from cotune.evaluation.transfer._trials import MARKINGS, Trial, draw_trials
from cotune.models import Encoded, Encoder
from cotune.tasks import Task

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel
    from cotune.training.methods import Attached


class Measured(NamedTuple):
    """How a model does on the examples of a task that are evaluated."""

    task: str
    """Name of the task."""
    examples: int
    """How many examples it was shown: fine-tuned on, or as demonstrations in the prompt."""
    draw: int
    """Number of their draw."""
    score: float
    """The task's metric."""
    loss: float
    """Mean negative log-likelihood per token of the targets, in nats."""


class Questions:
    """Scores and losses of tasks under the same prompts; the prompts are encoded once.

    Parameters
    ----------
    tasks : sequence of Task
        The tasks.
    config : InContextConfig
        Demonstrations, and how answers are taken.
    encoder : Encoder
        The model's tokenizer.
    seed : int
        Draws the demonstrations.
    context : int or None
        The most tokens that the model can hold.
    soft_prompts : mapping of str to tuple of int
        By task the ids of a soft prompt that stands before everything.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        config: InContextConfig,
        encoder: Encoder,
        *,
        seed: int,
        context: int | None,
        soft_prompts: dict[str, tuple[int, ...]] | None = None,
    ) -> None:
        def ask(asked: Sequence[Task]) -> InContextEvaluation:
            return InContextEvaluation(
                asked, config, encoder, seed=seed, soft_prompts=soft_prompts, context=context
            )

        self._scores, self._losses = ask(tasks), ask([replace(task, metric="nll") for task in tasks])

    def run(self, model: LanguageModel, module: nn.Module) -> list[Measured]:
        """Ask a model; ``examples`` are those in the prompt.

        Raises
        ------
        RunError
            If a likelihood is not finite; names the task.
        """
        return [
            Measured(score.task, score.shots, score.draw, score.value, loss.value)
            for score, loss in zip(
                self._scores.run(model, module), self._losses.run(model, module), strict=True
            )
        ]


@dataclass(frozen=True)
class _Prepared:
    trial: Trial
    encoded: Sequence[Encoded]
    questions: Questions
    seed: int


class TransferEvaluation:
    """Tasks made ready to be transferred to again and again: examples are drawn and encoded once.

    Transfer to a task is what a model can do after fine-tuning on a few of its examples (Mueller et al.,
    2024). The same examples, in the same order, from the same fresh parameters are put to every model.

    Parameters
    ----------
    tasks : sequence of Task
        Tasks that the models were not tuned on.
    config : TransferConfig
        The fine-tunings.
    in_context : InContextConfig
        Which examples are evaluated, and how answers are taken.
    encoder : Encoder
        The models' tokenizer.
    seed : int
        Decides examples, fresh parameters and the order of the examples.
    context : int, optional
        The most tokens that the models can hold.

    Raises
    ------
    InputError
        If a task has too few training examples, or one does not fit; names the task.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        config: TransferConfig,
        in_context: InContextConfig,
        encoder: Encoder,
        *,
        seed: int,
        context: int | None = None,
    ) -> None:
        self._config = config
        self._encoder, self._context, self._seed = encoder, context, seed
        self._asked = _as_trained(config, in_context)
        self._prepared = [
            _Prepared(
                trial,
                trial.encoded(encoder),
                self._questions(trial),
                _derive(seed, task.name, trial.draw),
            )
            for task in tasks
            for trial in draw_trials(task, config, in_context, seed=seed)
        ]

    def run(
        self,
        model: LanguageModel,
        examples: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Measured]:
        """Fine-tune and evaluate; the model's base is afterwards what it was.

        Parameters
        ----------
        model : LanguageModel
            Its base is fine-tuned, as it stands (see :func:`checkpoint_as_base`).
        examples : sequence of int, optional
            Which of the configured numbers of examples; by default all.
        progress : callable, optional
            Called with the number of fine-tunings evaluated and of all.

        Returns
        -------
        list of Measured
            One for each task, draw and number of examples, in this order.

        Raises
        ------
        RunError
            If a fine-tuning diverges; names task, examples and draw.
        """
        import torch

        numbers = self._config.examples if examples is None else tuple(examples)
        runs = {
            FineTuning(
                f"Fine-tuning on {n} examples of {one.trial.task.name}, draw {one.trial.draw}",
                one.trial.task.name,
                tuple(one.encoded[:n]),
                _derive(one.seed, n),
            ): (one, n)
            for one in self._prepared
            for n in numbers
            if n
        }
        found = {
            (one.trial.task.name, one.trial.draw, 0): self._ask(model, model.base, one, 0)
            for one in self._prepared
            if 0 in numbers
        }
        done = count(1)

        def measure(run: FineTuning, attached: Attached) -> None:
            one, n = runs[run]
            ids = attached.prompt_ids(run.task)
            found[run.task, one.trial.draw, n] = self._ask(model, attached.module, one, n, ids)
            if progress is not None:
                progress(next(done), len(runs))

        devices = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            fine_tune(model, list(runs), self._config, measure)
        return [found[one.trial.task.name, one.trial.draw, n] for one in self._prepared for n in numbers]

    def _ask(
        self, model: LanguageModel, module: nn.Module, one: _Prepared, n: int, ids: tuple[int, ...] = ()
    ) -> Measured:
        questions = self._questions(one.trial, ids) if ids else one.questions
        (measured,) = questions.run(model, module)
        return measured._replace(examples=n, draw=one.trial.draw)

    def _questions(self, trial: Trial, ids: tuple[int, ...] = ()) -> Questions:
        return Questions(
            [trial.task],
            self._asked,
            self._encoder,
            seed=self._seed,
            context=self._context,
            soft_prompts={trial.task.name: ids},
        )


def check_transfer(
    tasks: Sequence[Task], config: TransferConfig, in_context: InContextConfig, encoder: Encoder, *, seed: int
) -> None:
    """See before anything is computed that every fine-tuning can be done and evaluated.

    Raises
    ------
    InputError
        See :class:`TransferEvaluation`.
    """
    asked = _as_trained(config, in_context)
    for task in tasks:
        for trial in draw_trials(task, config, in_context, seed=seed):
            trial.encoded(encoder)
            check_in_context([trial.task], asked, encoder, seeds=(seed,))


def _as_trained(config: TransferConfig, in_context: InContextConfig) -> InContextConfig:
    """Return how a fine-tuned model is asked: with the exemplars of its training, if there were any."""
    shown = config.exemplars if MARKINGS[config.marking].shows_exemplars else 0
    return in_context.model_copy(update={"shots": (shown,), "draws": 1, "demonstrations": "shared"})


def _derive(*path: int | str) -> int:
    """Give every fine-tuning its own stream of random numbers, whatever model it is done on."""
    return int(hashlib.sha256(json.dumps(path).encode()).hexdigest()[:12], 16)
