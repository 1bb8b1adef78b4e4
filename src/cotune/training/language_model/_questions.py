"""What a trained model is asked, and how its answers are scored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from cotune.answering import QUESTIONS_SEED, InContextConfig, InContextEvaluation
from cotune.tasks import SampleAnswer
from cotune.training.language_model._samples import SAMPLES
from cotune.training.language_model._subject import Subject
from cotune.training.learner import Score, Subset

if TYPE_CHECKING:
    from torch import nn

    from cotune.training.methods import Attached


class Questions(Subject):
    """Adds scores, losses and sample answers of tasks, whose prompts are made ready once for all runs."""

    @cached_property
    def _evaluations(self) -> dict[tuple[str, str, tuple[int, ...]], InContextEvaluation]:
        return {}

    def score(self, module: nn.Module, task: str, split: str, *, prompt: tuple[int, ...] = ()) -> Score:
        """Score a model on one task.

        Parameters
        ----------
        module : Module
            The base model, or the base model under an adapter.
        task : str
            The task's name; its metric decides whether the model is asked for likelihoods or for text.
        split : {"validation", "test"}
            Which examples.
        prompt : tuple of int
            Token ids of a soft prompt before every input.

        Raises
        ------
        RunError
            If a likelihood is not finite.
        """
        (found,) = self._evaluation(task, split, prompt).run(self.model, module)
        return Score(found.value, found.metric, found.higher_is_better, found.per_example)

    def _scores(self, attached: Attached, subset: Subset, split: str) -> dict[str, Score]:
        return {
            name: self.score(attached.module, name, split, prompt=attached.prompt_ids(name))
            for name in subset
        }

    def _loss_of(self, attached: Attached, task: str, split: str) -> float:
        ids = attached.prompt_ids(task)
        examples = [encoded.under(ids) for encoded in self._data.encoded(task, split)]
        losses = self.model.nll(attached.module, examples, batch_tokens=self.config.scoring_tokens)
        return float(losses.mean())

    def _sample(self, module: nn.Module, subset: Subset, split: str) -> dict[str, tuple[str, ...]]:
        """Return what the base answers to the first examples of tasks."""
        return {
            name: self._evaluation(name, split, ()).sample(self.model, module, SAMPLES)[name]
            for name in subset
        }

    def _sampled(
        self, attached: Attached, subset: Subset, split: str, before: Mapping[str, tuple[str, ...]]
    ) -> dict[str, tuple[SampleAnswer, ...]]:
        """Put what a trained model answers to them beside it."""
        answers: dict[str, tuple[SampleAnswer, ...]] = {}
        for name in subset:
            asked = self._evaluation(name, split, attached.prompt_ids(name))
            answers |= asked.sampled(before, asked.sample(self.model, attached.module, SAMPLES))
        return answers

    def _evaluation(self, task: str, split: str, prompt: tuple[int, ...]) -> InContextEvaluation:
        """Return the questions of a split, made ready once for all runs."""
        key = (task, split, prompt)
        if key not in self._evaluations:
            self._evaluations[key] = InContextEvaluation(
                [self._tasks[task]],
                self._asking(split),
                self._data.encoder,
                seed=QUESTIONS_SEED,
                soft_prompts={task: prompt},
                context=self.model.context,
            )
        return self._evaluations[key]

    def _asking(self, split: str) -> InContextConfig:
        config = self.config
        asked = InContextConfig(
            classification=config.classification,
            label_score=config.label_score,
            batch_tokens=config.scoring_tokens,
        )
        return asked.on_trained(split, config.method.demonstrations)
