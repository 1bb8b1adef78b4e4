from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from cotune.answering import (
    QUESTIONS_SEED,
    ChoiceConfig,
    InContextConfig,
    InContextEvaluation,
    check_in_context,
    gold_notes,
    merge_notes,
    scored_fingerprint,
)
from cotune.exceptions import RunError
from cotune.models import locate_model
from cotune.tasks import SampleAnswer, Task
from cotune.training._log import TrainingLog, total_counts
from cotune.training.batches import TaskBatch
from cotune.training.below import KeptStates
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.language_model._below import LowerLayers, Upper
from cotune.training.language_model._samples import SAMPLES
from cotune.training.language_model._settings import LanguageModelSettings
from cotune.training.language_model._warm_start import stored_start, train_start
from cotune.training.learner import Fit, Score, Subset
from cotune.training.parts import Part
from cotune.training.stages import StagedRun, train_runs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cotune.models import Encoded, LanguageModel
    from cotune.training._branch_point import BranchPoint
    from cotune.training._lookout import Lookout
    from cotune.training.methods import Attached, Method, Stage

_Result = TypeVar("_Result")

_FORMAT = 1
"""Raised whenever the same configuration would give other results, so that no stored run is mistaken."""


class LanguageModelRuns:
    """The runs of :class:`LanguageModelLearner`, which adds what it can do beside them.

    Trains what a method puts on a shared base on a subset of tasks and scores it; the base is loaded once.

    Parameters
    ----------
    config : LanguageModelSettings
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

    def __init__(self, config: LanguageModelSettings, tasks: Sequence[Task], base: Path = Path()) -> None:
        locate_model(config.model, base)  # so that a wrong name is known at once
        self.config = config
        self._base = base
        self._tasks = {task.name: task for task in tasks}
        demonstrations = config.method.demonstrations
        self._data = EncodedTasks(
            tasks, lambda: config.encoder(base), demonstrations=demonstrations, base=base
        )
        warm = config.warm_start
        self._warm_tasks = [] if warm is None else warm.chosen(tasks)
        self._warm_steps = 0 if warm is None else warm.length
        self._start: dict[str, Tensor] | None = None if warm is not None else {}
        self._evaluations: dict[tuple[str, str, tuple[int, ...]], InContextEvaluation] = {}

    separate_streams: Literal[True] = True
    """See :func:`derive_seed`."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of all tasks."""
        return tuple(self._tasks)

    @property
    def families(self) -> Mapping[str, str]:
        """The category each task's author put it in."""
        return {name: task.category for name, task in self._tasks.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model and the recipe; with a warm start, of the tasks that it is trained on too."""
        recipe = {**self.config.plain(), **self.config.fingerprint(self._base), "format": _FORMAT}
        of_answers = ("classification", "label_score")  # in the hashes of the tasks that are answered
        for key in ("revision", "scoring_tokens", "side_by_side", "warm_start", "cache_bytes", *of_answers):
            del recipe[key]
        if self.config.adapt_from is None:
            del recipe["adapt_from"]
        if self.config.warm_start is not None:
            warm = self.config.warm_start.model_dump(mode="json", exclude={"tasks", "share"})
            recipe["warm_start"] = {**warm, "tasks": [task.fingerprint for task in self._warm_tasks]}
        if self.config.training.replay is not None:
            recipe["text"] = self.config.training.replay.text.fingerprint(self._base)
        recipe["method"]["name"] = self.config.method.kind
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    def task_fingerprint(self, task: str) -> str:
        """Hash of the task's data, instruction and metric, and of how it is scored."""
        return scored_fingerprint(self._tasks[task], self.config)

    @property
    def reading(self) -> Mapping[str, Any]:
        """Options of the model and of its answers that scores depend on; see AnsweringLearner."""
        of_answers = {key: getattr(self.config, key) for key in ChoiceConfig.model_fields}
        return self.config.reading(self._base) | of_answers

    def prompt_of(self, task: str, text: str) -> str:
        """Return the prompt of an input, with all tokens that the model reads; see AnsweringLearner."""
        example = replace(self._data.kept(task, "train")[0][0], input=text, turns=())
        encoded = self._data.encode(task, example, example.targets[0])
        ids = () if encoded is None else encoded.prompt
        return str(self._data.encoder.tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    @cached_property
    def model(self) -> LanguageModel:
        """The base model, loaded on first use."""
        return self.config.load(self._base, self._data.encoder)

    @cached_property
    def _skeleton(self) -> LanguageModel:
        return self.config.skeleton(self._base, self._data.encoder)

    def load(self) -> None:
        """Load the model and what puts adapters on it; see LoadingLearner."""
        importlib.import_module("peft")
        self.model.base.eval()

    def check(self) -> dict[str, tuple[str, ...]]:
        """Encode all that runs ask for, so that what does not fit is known before anything is trained.

        Raises
        ------
        InputError
            If a task has nothing left in a split, a choice is too long, or options of the method do not fit.
        """
        encoder, tasks = self._data.encoder, list(self._tasks.values())
        if self.attached_method.wants_trial:
            with self.attached_method.attach(self._skeleton, self.tasks):
                pass
        if self.lower is not None:
            self.lower.check_dropout(self._skeleton, self.config.training.dropout)
        return merge_notes(
            self._data.check(),
            {task.name: gold_notes(task, encoder, self.config, "train") for task in tasks},
            check_in_context(tasks, self._asking("validation"), encoder),
            check_in_context(tasks, self._asking("test"), encoder),
        )

    def expected_tokens(self, subset: Subset, steps: int) -> int:
        """Tokens of the batches of a run, by the mean length of each task's examples and of replayed text."""
        method, total = self.config.method, 0.0
        # Those of validation are kept with demonstrations, where there are any.
        split = "validation" if method.demonstrations else "train"
        for stage in method.stages(steps, self.config.training, subset):
            length = float(np.mean([self._data.mean_length(name, split) for name in stage.tasks or subset]))
            total += stage.steps * stage.training.batch_size * (length + method.virtual_tokens)
            total += self._data.expected_replay_tokens(stage.training, stage.steps)
        return round(total)

    def prepare(self, folder: Path) -> None:
        """Train the warm start, where there is one, and store it, or load it where it is stored already.

        A call that was killed is gone on with. Without this call the warm start is trained when it is first
        needed, and kept in memory.

        Parameters
        ----------
        folder : Path
            Holds ``warm-<fingerprint>.safetensors``; made where it does not exist, or is damaged.

        Raises
        ------
        RunError
            If the loss is not finite or explodes.
        """
        if self._start is None:
            self._start = stored_start(self._start_file(folder), self._train_start)
        if self.lower is not None:
            self.lower.prepare(folder / self.lower.file(self.task_fingerprint), lambda: self.model)

    @cached_property
    def attached_method(self) -> Method:
        """The method as it is put on the base: on the upper layers alone, if so it is."""
        return self.config.method if self.lower is None else self.lower.upper.put(self.config.method)

    @cached_property
    def lower(self) -> LowerLayers | None:
        """What lies below the adapter; None where it is on all layers."""
        if self.config.adapt_from is None:
            return None
        upper = Upper.of(self._skeleton, self.config.adapt_from)
        return LowerLayers(upper, self._skeleton, self.tasks, self._read_again, self.config, self._base)

    def _read_again(self) -> list[list[list[Encoded]]]:
        """Return by task what runs read again and again: what is scored, then what is trained on."""
        scored = [self._evaluation(name, "validation", ()).of_likelihoods() for name in self.tasks]
        trained = [
            [] if self.config.method.demonstrations else self._data.encoded(name, "train")
            for name in self.tasks
        ]
        return [list(parts) for parts in zip(scored, trained, strict=True)]

    def _from_states(self) -> AbstractContextManager[None]:
        """Let losses and likelihoods start above what all runs have in common, where there is such."""
        if self.lower is None:
            return nullcontext()
        return self.model.starting_above(self.lower.of(self.model))

    @property
    def kept_states(self) -> KeptStates | None:
        """What is kept of the layers below the adapter; see :class:`cotune.training.below.StatesLearner`."""
        return None if self.lower is None else self.lower.told(self.task_fingerprint)

    def _start_file(self, folder: Path) -> Path:
        return folder / f"warm-{self.fingerprint}.safetensors"

    def fit_score(self, subset: Subset, seed: int) -> dict[str, Score]:
        """Train one pass over the subset's training examples and score on validation examples."""
        examples = sum(len(self._tasks[name]["train"]) for name in subset)
        steps = -(-examples // self.config.training.batch_size)
        return dict(self.fit(subset, seed, steps=steps, split="validation").scores)

    def fit(self, subset: Subset, seed: int, *, steps: int, split: str, save_to: Path | None = None) -> Fit:
        """Train a fresh adapter on a subset and score every task of it; see :class:`Learner`.

        ``steps`` are those of the method's last stage; earlier ones have steps of their own.

        Raises
        ------
        RunError
            If the loss is not finite or explodes, in training or in scoring; names the subset.
        """
        (fit,) = self._fit_all([Part(subset, seed, steps)], split=split, save_to=save_to)
        return fit

    def _fit_all(
        self, parts: Sequence[Part], *, split: str, save_to: Path | None = None, most: int = 1
    ) -> list[Fit]:
        """Train parts of equal steps and spans, up to ``most`` in a pass, and score each."""
        fits = self._fit_splits(parts, splits=(split,), save_to=save_to, most=most)
        return [of_split for (of_split,) in fits]

    def _fit_splits(
        self, parts: Sequence[Part], *, splits: Sequence[str], save_to: Path | None = None, most: int = 1
    ) -> list[list[Fit]]:
        """Do the same with a fit for every split."""
        before = {} if save_to is None else self._sample(self.model.base, parts[0].subset, splits[-1])

        def score(at: int, attached: Attached, logs: list[TrainingLog]) -> list[Fit]:
            subset, run = parts[at].subset, runs[at]
            fits = [fit_of(self._scores(attached, subset, split), logs, run) for split in splits]
            if save_to is not None:
                attached.save(save_to, self.model.tokenizer)
                fits[-1] = replace(fits[-1], answers=self._sampled(attached, subset, splits[-1], before))
            return fits

        points: dict[Path, BranchPoint] = {}
        runs = [self._staged(part, points) for part in parts]
        return self._train(runs, parts[0], then=score, most=most)

    def _train(
        self,
        runs: Sequence[StagedRun],
        like: Part,
        *,
        then: Callable[[int, Attached, list[TrainingLog]], _Result],
        most: int = 1,
    ) -> list[_Result]:
        method, training = self.attached_method, self.config.training
        with self._from_states():
            return train_runs(
                self.model, method, runs, like.steps, training, then=then, most=most, span=like.span
            )

    def _staged(self, part: Part, points: dict[Path, BranchPoint]) -> StagedRun:
        """Make a run of a part; ``points`` has the branch points that were read already."""
        name = f"Training {' + '.join(part.subset)} with seed {part.seed}"
        if part.origin is not None and part.origin not in points:
            from cotune.training._branch_point import BranchPoint

            try:
                points[part.origin] = BranchPoint.load(part.origin)
            except RunError as error:
                raise RunError(f"{name}: {error}") from error
        origin = None if part.origin is None else points[part.origin]
        seed = derive_seed(part.seed, part.subset)
        return StagedRun(
            name,
            part.subset,
            partial(self._attached, part.subset, seed, origin),
            partial(self._batches, part.subset, seed, start=part.span.since),
            origin,
            lookout=self._lookout(part),
        )

    def _lookout(self, part: Part) -> Lookout | None:
        """Return what ends a part by the mean loss per target token on validation examples, tasks alike."""
        if part.patience is None:
            return None
        from cotune.training._lookout import Lookout

        def loss(attached: Attached) -> float:
            return float(np.mean([self._loss_of(attached, task, "validation") for task in part.subset]))

        return Lookout(part.patience, loss)

    def _loss_of(self, attached: Attached, task: str, split: str) -> float:
        ids = attached.prompt_ids(task)
        examples = [encoded.under(ids) for encoded in self._data.encoded(task, split)]
        losses = self.model.nll(attached.module, examples, batch_tokens=self.config.scoring_tokens)
        return float(losses.mean())

    @property
    def _is_warm(self) -> bool:
        return self.config.warm_start is not None

    def _train_start(self, state: Path | None = None) -> dict[str, Tensor]:
        warm, method = self.config.warm_start, self.attached_method
        assert warm is not None
        return train_start(
            self.model, method, self._warm_tasks, self.config.training, warm, state, self._base
        )

    @contextmanager
    def _attached(self, subset: Subset, seed: int, origin: BranchPoint | None = None) -> Iterator[Attached]:
        """Put on the base what a run starts with: fresh parameters, those of the warm start or of another."""
        import torch

        from cotune.training._branch_point import start_from

        if self._start is None:
            self._start = self._train_start()
        torch.manual_seed(seed)
        with self._from_states(), self.attached_method.attach(self.model, subset) as attached:
            start_from(attached, self._start if origin is None else origin.values)
            attached.module.eval()
            yield attached

    @property
    def _pass_tokens(self) -> int:
        from cotune.training._objective import pass_tokens

        return pass_tokens(self.model.device.type, self.config.training)

    def _batches(
        self, subset: Subset, seed: int, attached: Attached, stage: Stage, *, start: int = 0
    ) -> Iterator[TaskBatch]:
        return self._data.batches(
            stage.tasks or subset,
            stage.training,
            seed,
            prompt_ids=attached.prompt_ids,
            context=self.model.context,
            start=start,
        )

    def _scores(self, attached: Attached, subset: Subset, split: str) -> dict[str, Score]:
        return {
            name: self.score(attached.module, name, split, prompt=attached.prompt_ids(name))
            for name in subset
        }

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


def fit_of(scores: Mapping[str, Score], logs: Sequence[TrainingLog], run: StagedRun | None = None) -> Fit:
    """Put together what the stages of a run gave, and what it saw on the way."""
    return Fit(
        scores,
        tuple(loss for log in logs for loss in log.losses),
        sum(log.tokens for log in logs),
        total_counts(counts for log in logs for counts in log.examples),
        tuple(loss for log in logs for loss in log.replay_losses),
        run.lookout.looks if run is not None and run.lookout is not None else None,
    )


def derive_seed(seed: int, subset: Subset) -> int:
    """Give every subset its own stream of random numbers under one seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{'|'.join(subset)}".encode()).digest()[:6], "big")
