from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from cotune.answering import encode_choices
from cotune.exceptions import InputError, RunError
from cotune.models import Encoded
from cotune.tasks import Example, Task, get_metric
from cotune.training.language_model._linearised import Question, margins
from cotune.training.language_model._lookahead import look_ahead
from cotune.training.language_model._runs import derive_seed
from cotune.training.language_model._settings import LanguageModelSettings
from cotune.training.language_model._timing import LanguageModelTiming
from cotune.training.language_model._varied import VariedRuns
from cotune.training.learner import LearnerConfig
from cotune.training.sketch import Sketch, sketch
from cotune.training.stages import begin_stage, train_stages

if TYPE_CHECKING:
    from torch import nn

    from cotune.training.methods import Attached


class LanguageModelConfig(LearnerConfig, LanguageModelSettings):
    """A pretrained model and how it is trained on subsets of tasks."""

    def for_study(self, steps_per_task: int | None, tasks: Sequence[Task]) -> Self:
        """Return the options with the length of the warm start in steps."""
        warm = self.warm_start
        if warm is None or warm.share is None or steps_per_task is None:
            return self
        lasting = warm.lasting(steps_per_task, len(warm.chosen(tasks)))
        return self.model_copy(update={"warm_start": lasting})

    def build(self, tasks: Sequence[Task], base: Path) -> LanguageModelLearner:
        """Make the learner; the model is loaded on first use."""
        return LanguageModelLearner(self, tasks, base)


class LanguageModelLearner(VariedRuns):
    """Trains what a method puts on a shared base on a subset of tasks and scores it; the base is loaded once.

    It is a FeatureLearner, a LinearisedLearner, a LookaheadLearner, a VariedLearner, a TimedLearner and, for
    LoRA, a SideBySideLearner.

    Parameters
    ----------
    config : LanguageModelConfig
        Model and recipe.
    tasks : sequence of Task
        All tasks of the study.
    base : Path
        Folder that a relative model path starts from.

    Raises
    ------
    InputError
        If the model folder does not exist, or the warm start names a task that does not.
    """

    def timing(self) -> LanguageModelTiming:
        """Measure what runs take; see TimedLearner."""
        return LanguageModelTiming(self)

    def gradient_features(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> NDArray[np.float32]:
        """Mean gradient at the start of runs over two halves of training examples; see FeatureLearner.

        Raises
        ------
        InputError
            If the task has fewer than two training examples.
        """
        from cotune.training.gradients import mean_gradient

        encoded = self._data.encoded(task, "train")
        half = min(examples, len(encoded) // 2)
        if half < 1:
            raise InputError(f"Task {task} has {len(encoded)} training examples; its gradient needs two.")
        order = np.random.default_rng((seed, 0)).permutation(len(encoded))
        with self._attached((task,), seed) as attached:
            under = [e.under(attached.prompt_ids(task)) for e in encoded]
            parameters = attached.parameters if self._is_warm else attached.first_order
            means = [
                mean_gradient(
                    self.model, attached, parameters, [under[i] for i in part], pass_tokens=self._pass_tokens
                )
                for part in (order[:half], order[half : 2 * half])
            ]
        return np.stack([sketch(mean, dimension, seed) for mean in means])

    @property
    def linear_loss(self) -> Literal["logistic"]:
        """The loss that margins are fitted by."""
        return "logistic"

    def linearise(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> dict[str, NDArray[np.float32]]:
        """Margins and their projected gradients at the start of runs; see LinearisedLearner.

        The margin of a training example is that of its target, whose loss training lowers. That of a
        validation example is of what is scored: of the right choice among the choices, where the example has
        such and the metric is of answers, else of the target.

        Raises
        ------
        InputError
            If the method trains nothing that tasks have in common.
        """
        from cotune.training.gradients import example_gradients

        with self._attached((task,), seed) as attached:
            parameters = self._common(attached, task)
            projection = Sketch(sum(p.numel() for p in parameters), dimension, seed)

            def gradients(encoded: Sequence[Encoded]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
                under = [e.under(attached.prompt_ids(task)) for e in encoded]
                return example_gradients(
                    self.model, attached, parameters, under, projection, pass_tokens=self._pass_tokens
                )

            train, scored = (
                margins(
                    self._questions(task, split, examples, seed),
                    gradients,
                    label_score=self.config.label_score,
                )
                for split in ("train", "validation")
            )
        return {
            "train_margins": train[0],
            "train_gradients": train[1],
            "eval_margins": scored[0],
            "eval_gradients": scored[1],
        }

    def lookahead(
        self, seed: int, *, steps: int, every: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Losses of all tasks before and after a step on each, along one joint run; see LookaheadLearner.

        A step is one of the run's own optimiser, at its learning rate and with its moments, as TAG has it
        for the optimiser of its experiments. Batches have the size of the run's; a loss is the mean over the
        batch of each example's mean loss per target token, in nats. Of a method of several stages it is the
        last that is followed.

        Raises
        ------
        InputError
            If the last stage of the method trains on one task alone.
        RunError
            If the loss is not finite or explodes.
        """
        subset = tuple(sorted(self.tasks))
        *earlier, last = self.config.method.stages(steps, self.config.training, subset)
        if last.tasks:
            raise InputError("Tasks in sequence have no step on all tasks to look ahead from.")
        try:
            with self._attached(subset, derive_seed(seed, subset)) as attached:
                joint = partial(self._batches, subset, derive_seed(seed, subset))
                train_stages(self.model, attached, earlier, joint)
                return look_ahead(
                    self.model,
                    attached.module,
                    begin_stage(self.model, attached, last),
                    joint(attached, last),
                    [
                        self._batches((task,), derive_seed(seed, (task,)), attached, last)
                        for task in self.tasks
                    ],
                    every=every,
                )
        except RunError as error:
            raise RunError(f"The joint run of the lookahead with seed {seed}: {error}") from error

    def _common(self, attached: Attached, task: str) -> list[nn.Parameter]:
        """Return what the method trains but what is the task's alone, and what is silent at first."""
        stages = self.config.method.stages(1, self.config.training, (task,))
        parts = dict.fromkeys(part for stage in stages for part in stage.trains)
        trained = [parameter for part in parts for parameter in attached.parts[part]]
        own = None if attached.prompts is None else attached.prompts.parameters.get(task)
        left_out = {id(own), *(() if self._is_warm else map(id, attached.silent))}
        common = [parameter for parameter in trained if id(parameter) not in left_out]
        if not common:
            raise InputError(
                "The method trains nothing that tasks have in common, so that no task could change another; "
                "set prompts: shared."
            )
        return common

    def _questions(self, task: str, split: str, examples: int, seed: int) -> list[Question]:
        """Draw examples of a split, with the answers that their margins compare."""
        kept = self._data.kept(task, split)
        order = np.random.default_rng((seed, 0)).permutation(len(kept))[:examples]
        compared = split != "train" and get_metric(self._tasks[task].metric).needs == "text"
        demonstrated = split == "train" and bool(self.config.method.demonstrations)
        questions = []
        for example, encoded in (kept[i] for i in sorted(order)):
            right = tuple(choice in example.targets for choice in example.choices)
            answers: Sequence[Encoded] = [encoded]
            if compared and any(right) and not all(right):
                answers = encode_choices(partial(self._fitting, task, example), example.choices)
            elif demonstrated:
                answers = [self._fitting(task, example, example.targets[0])]
            questions.append(Question(tuple(answers), right if len(answers) > 1 else (True,)))
        return questions

    def _fitting(self, task: str, example: Example, target: str) -> Encoded:
        encoded = self._data.encode(task, example, target)
        assert encoded is not None, "the check has encoded all of them"
        return encoded
