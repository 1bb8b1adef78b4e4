"""What is measured of a model at a checkpoint: target, in-context learning, format specialisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cotune._files import write_text
from cotune._seals import json_text, read_json
from cotune.answering import InContextConfig, InContextEvaluation, InContextScore, encode_fitting
from cotune.evaluation.format_specialisation import LabelledPrompt, ModuleAlignment, label_share
from cotune.findings.retention import InContextValue, TargetScore
from cotune.tasks import Task, draw_demonstrations

if TYPE_CHECKING:
    from torch import nn

    from cotune.evaluation.last_stage import Probes
    from cotune.models import LanguageModel

_BATCH_TOKENS = 1024
"""Tokens of one pass where gradients are taken: each keeps its activations."""

SAMPLE, _LETTERS = 3, 300
"""Examples of a task whose answers are kept at every checkpoint, and letters of each text."""

By = Literal["answer", "first_word"]

PromptIds = Callable[[str], tuple[int, ...]]
"""Gives the ids of the soft prompt that stands before the inputs of a task."""


def no_prompt(task: str) -> tuple[int, ...]:
    """Return no ids: a model without soft prompts."""
    return ()


@dataclass(frozen=True)
class TargetAnswers:
    """What a model answers to the targets' validation and test examples."""

    validation: tuple[InContextScore, ...]
    test: tuple[InContextScore, ...]

    @property
    def scores(self) -> tuple[TargetScore, ...]:
        """The scores of each target."""
        return tuple(
            TargetScore(task=one.task, validation=one.value, test=other.value, answers=first_answers(other))
            for one, other in zip(self.validation, self.test, strict=True)
        )

    @property
    def answers(self) -> list[str]:
        """The answers to the test examples of all targets."""
        return [answer for score in self.test for answer in score.answers]


@dataclass(frozen=True)
class Measure:
    """Measures models on the tasks of a study, always by the same questions.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base of all models measured.
    targets, evaluation : sequence of Task
        Those tuned on, and those only evaluated on.
    in_context : InContextConfig
        How tasks are put in context, and how answers are taken.
    seed : int
        Decides demonstrations and the examples of gradients; that of the study, not of a run.
    gradient_examples : int
        Training examples of each target whose gradient is taken.
    """

    model: LanguageModel
    targets: Sequence[Task]
    evaluation: Sequence[Task]
    in_context: InContextConfig
    seed: int
    gradient_examples: int
    _target_evaluations: dict[Any, InContextEvaluation] = field(default_factory=dict, init=False)
    _known: dict[str, Any] = field(default_factory=dict, init=False)

    def ask_targets(
        self, module: nn.Module, prompt_ids: PromptIds = no_prompt, *, demonstrations: int = 0
    ) -> TargetAnswers:
        """Put the targets' validation examples, which choose, and test examples, which are reported.

        Parameters
        ----------
        module : Module
            The model.
        prompt_ids : callable
            The targets are answered under these soft prompts.
        demonstrations : int
            Fresh ones before every input, as in training.
        """
        ids = tuple((task.name, prompt_ids(task.name)) for task in self.targets)
        chosen, reported = (
            self._target_evaluation(split, demonstrations, ids).run(self.model, module)
            for split in ("validation", "test")
        )
        return TargetAnswers(tuple(chosen), tuple(reported))

    def _target_evaluation(
        self, split: str, demonstrations: int, ids: tuple[tuple[str, tuple[int, ...]], ...]
    ) -> InContextEvaluation:
        """Return the evaluation of the targets on a split, made ready once for all checkpoints and runs."""
        key = (split, demonstrations, ids)
        if key not in self._target_evaluations:
            self._target_evaluations[key] = InContextEvaluation(
                self.targets,
                self.in_context.on_trained(split, demonstrations),
                self.model.encoder,
                seed=self.seed,
                soft_prompts=dict(ids),
                context=self.model.context,
            )
        return self._target_evaluations[key]

    def in_context_scores(self, module: nn.Module) -> list[InContextScore]:
        """Evaluate the other tasks in context, without any soft prompt."""
        return self._evaluation.run(self.model, module)

    def in_context_values(self, scores: Sequence[InContextScore]) -> tuple[InContextValue, ...]:
        """Put the draws of every task and number of shots together, with the share of the targets' labels."""
        cells: dict[tuple[str, int], list[InContextScore]] = {}
        for score in scores:
            cells.setdefault((score.task, score.shots), []).append(score)
        return tuple(
            InContextValue(
                task=task,
                shots=shots,
                draws=tuple(score.value for score in cell),
                label_share=self._label_share(task, cell, "answer"),
                first_word_share=self._label_share(task, cell, "first_word"),
                answers=first_answers(cell[0]),
            )
            for (task, shots), cell in cells.items()
        )

    @cached_property
    def probes(self) -> Probes:
        """The prompts whose next tokens show what a stage changed."""
        from cotune.evaluation.last_stage import Probes

        return Probes(self.model, self.targets, self.evaluation, self.in_context, self.seed)

    def know_pretrained(self, file: Path) -> None:
        """See before anything is put on the base that its answers and predictions are known.

        Parameters
        ----------
        file : Path
            What it answers to the other tasks, where it was asked before; written where it was not.
        """
        self.probes.know_pretrained()
        if "answers" in self._known:
            return
        if file.is_file():
            self._known["answers"] = read_json(file, listed="answers")["answers"]
        else:
            self.keep_pretrained(self.in_context_scores(self.model.base), file)

    def keep_pretrained(self, scores: Sequence[InContextScore], file: Path) -> None:
        """Keep what the pretrained model answers to the other tasks, for all runs to be compared with."""
        self._known["answers"] = [answer for score in scores for answer in score.answers]
        write_text(file, json_text({"answers": self._known["answers"]}))

    def changed_answers(self, scores: Sequence[InContextScore]) -> float | None:
        """Return the share of answers that are others than the pretrained model's; None without any."""
        from cotune.evaluation.last_stage import share_changed

        return share_changed(self._known["answers"], [answer for one in scores for answer in one.answers])

    @cached_property
    def _evaluation(self) -> InContextEvaluation:
        """The evaluation of the other tasks, made ready once for all checkpoints and runs."""
        return InContextEvaluation(
            self.evaluation,
            self.in_context,
            self.model.encoder,
            seed=self.seed,
            context=self.model.context,
        )

    def alignment(
        self, module: nn.Module, prompt_ids: PromptIds = no_prompt, *, demonstrations: int = 0
    ) -> tuple[ModuleAlignment, ...]:
        """Compare the full and the format gradient on training examples of the targets."""
        from cotune.evaluation.format_specialisation import gradient_alignment

        examples = [
            prompt for task in self.targets for prompt in self._labelled(task, prompt_ids, demonstrations)
        ]
        sizes = {len(example.options) for example in examples}
        return gradient_alignment(
            self.model,
            module,
            examples,
            seed=self.seed,
            randomise="shuffle" if len(sizes) == 1 else "uniform",
            batch_tokens=self.in_context.batch_tokens or _BATCH_TOKENS,
        )

    def _labelled(self, task: Task, prompt_ids: PromptIds, demonstrations: int) -> Iterator[LabelledPrompt]:
        """Encode training examples of a classification task, as they are trained, under each label."""
        encoder = self.model.encoder
        order = np.random.default_rng((self.seed, len(task["train"]))).permutation(len(task["train"]))
        ids = prompt_ids(task.name)
        for index in order[: self.gradient_examples].tolist():
            example = task["train"][index]
            shown = draw_demonstrations(
                task, demonstrations, seed=self.seed, draw=(index,), exclude={example.input}
            )
            options = tuple(
                encode_fitting(encoder, task, example, choice, shown).under(ids) for choice in example.choices
            )
            yield LabelledPrompt(options, example.choices.index(example.targets[0]))

    def _label_share(self, task: str, scores: Sequence[InContextScore], by: By) -> float | None:
        answers = [answer for score in scores for answer in score.answers]
        if not answers or not self.labels or task in self._silent[by]:
            return None
        return label_share(answers, self.labels, by)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The label set of the targets; empty where one is answered by free text."""
        return label_set(self.targets)

    @cached_property
    def _silent(self) -> dict[By, set[str]]:
        """Names of the tasks of which a share of the targets' labels would say nothing.

        Those whose right answers are labels of the targets, or begin with them, and those whose answers can
        be nothing but one of their own choices.
        """
        chosen, split = self.in_context.classification == "likelihood", self.in_context.split
        closed = {
            task.name
            for task in self.evaluation
            if chosen and all(example.choices for example in task[split])
        }
        right = {task.name: [t for e in task[split] for t in e.targets] for task in self.evaluation}
        ways: tuple[By, ...] = ("answer", "first_word")
        return {
            by: closed | {name for name, gold in right.items() if label_share(gold, self.labels, by) > 0}
            for by in ways
        }

    def sample(self) -> dict[str, list[tuple[str, str]]]:
        """Return by task the inputs and right answers of the first examples, whose answers are kept."""
        asked = {
            **self._target_evaluation("test", 0, tuple((t.name, ()) for t in self.targets)).examples,
            **self._evaluation.examples,
        }
        return {
            name: [(_beginning(e.input), _beginning(e.targets[0])) for e in examples[:SAMPLE]]
            for name, examples in asked.items()
        }


def first_answers(score: InContextScore) -> tuple[str, ...]:
    """Return what is kept of the answers: the beginnings of the first."""
    return tuple(map(_beginning, score.answers[:SAMPLE]))


def _beginning(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]} …"


def label_set(targets: Sequence[Task]) -> tuple[str, ...]:
    """Return the labels of classification targets in their order; none if a target has examples without."""
    examples = [example for task in targets for example in task["train"]]
    if not all(example.choices for example in examples):
        return ()
    return tuple(dict.fromkeys(choice for example in examples for choice in example.choices))
