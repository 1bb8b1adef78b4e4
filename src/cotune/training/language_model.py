"""The learner of real models: a fresh adapter on a shared frozen base for every subset of tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from cotune._config import from_table
from cotune.exceptions import InputError, RunError
from cotune.models import Encoded, Encoder, load_encoder, locate_model, model_fingerprint
from cotune.tasks import SPLITS, Example, Mixture, Task, format_prompt, format_target, get_metric
from cotune.training.config import TrainingConfig
from cotune.training.learner import Fit, Score, Subset
from cotune.training.learner_config import LearnerConfig
from cotune.training.methods import METHODS, Lora, Method
from cotune.training.sketch import sketch

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel

_FORMAT = 1
"""Raised whenever the same configuration would give other results, so that no stored run is mistaken."""


class LanguageModelConfig(LearnerConfig):
    """A pretrained model and how adapters are trained on it."""

    model: str
    """Folder of a transformers checkpoint (relative to the study file), or a name on the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Type of the frozen weights; "auto" takes bf16 where the hardware multiplies it natively."""
    max_prompt_tokens: PositiveInt = 512
    """A longer prompt has its example's input cut at the end."""
    max_target_tokens: PositiveInt = 128
    """An example with a longer target is dropped; also the most tokens generated."""
    method: Annotated[Method, from_table(METHODS, "name")] = Lora()
    """What is trained: {name: lora, r: 8, ...}."""
    training: TrainingConfig = TrainingConfig()
    """The recipe."""
    scoring_tokens: PositiveInt = 1024
    """About how many tokens one forward pass holds while scoring."""

    def build(self, tasks: Sequence[Task], base: Path) -> LanguageModelLearner:
        """Make the learner; the model is loaded on first use."""
        return LanguageModelLearner(self, tasks, base)


class LanguageModelLearner:
    """Trains a fresh adapter on a subset of tasks and scores it; the base is loaded once.

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
        If the model folder does not exist.
    """

    def __init__(self, config: LanguageModelConfig, tasks: Sequence[Task], base: Path = Path()) -> None:
        self.config = config
        self._tasks = {task.name: task for task in tasks}
        self._location = locate_model(config.model, base)
        self._encoded: dict[tuple[str, str], list[tuple[Example, Encoded]]] = {}

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
        """Hash of the model and the recipe."""
        from cotune.models import resolve_precision

        recipe = self.config.plain()
        for key in ("model", "revision", "scoring_tokens"):
            del recipe[key]
        recipe["method"]["name"] = type(self.config.method).__name__
        recipe["precision"] = resolve_precision(self.config.precision)
        recipe["model"] = model_fingerprint(self._location, self.config.revision)
        recipe["format"] = _FORMAT
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    def task_fingerprint(self, task: str) -> str:
        """Hash of the task's data, instruction and metric."""
        return self._tasks[task].fingerprint

    @cached_property
    def model(self) -> LanguageModel:
        """The base model, loaded on first use."""
        from cotune.models import LanguageModel

        return LanguageModel.load(
            self._location,
            self.encoder,
            revision=self.config.revision,
            precision=self.config.precision,
        )

    @cached_property
    def encoder(self) -> Encoder:
        """The model's tokenizer with the study's limits; needs no weights."""
        return load_encoder(
            self._location,
            revision=self.config.revision,
            max_prompt_tokens=self.config.max_prompt_tokens,
            max_target_tokens=self.config.max_target_tokens,
        )

    def check(self) -> dict[str, tuple[str, ...]]:
        """Encode all that runs ask for, so that what does not fit is known before anything is trained."""
        for name, task in self._tasks.items():
            if get_metric(task.metric).needs == "text":
                for split in ("validation", "test"):
                    self._options(name, split)
        return {
            name: tuple(note for split in SPLITS for note in self._notes(name, split)) for name in self._tasks
        }

    def expected_tokens(self, subset: Subset, steps: int) -> int:
        """Tokens of the batches of a run, by the mean length of each task's training examples."""
        lengths = [float(np.mean([len(e) for e in self._encode(name, "train")])) for name in subset]
        return round(steps * self.config.training.batch_size * float(np.mean(lengths)))

    def prepare(self, folder: Path) -> None:
        """Nothing to do: the base model comes trained."""

    def fit_score(self, subset: Subset, seed: int) -> dict[str, Score]:
        """Train one pass over the subset's training examples and score on validation examples."""
        examples = sum(len(self._tasks[name]["train"]) for name in subset)
        steps = -(-examples // self.config.training.batch_size)
        return dict(self.fit(subset, seed, steps=steps, split="validation").scores)

    def fit(self, subset: Subset, seed: int, *, steps: int, split: str, save_to: Path | None = None) -> Fit:
        """Train a fresh adapter on a subset and score every task of it; see :class:`Learner`.

        Raises
        ------
        RunError
            If the loss is not finite or explodes, in training or in scoring; names the subset.
        """
        import torch

        from cotune.training._loop import train

        torch.manual_seed(_derive(seed, subset))
        try:
            with self.config.method.attach(self.model) as module:
                log = train(self.model, module, self._batches(subset, seed), steps, self.config.training)
                scores = {name: self.score(module, name, split) for name in subset}
                if save_to is not None:
                    self.config.method.save(module, save_to)
        except RunError as error:
            raise RunError(f"Training {' + '.join(subset)} with seed {seed}: {error}") from error
        return Fit(scores, log.losses, log.tokens)

    def score(self, module: nn.Module, task: str, split: str) -> Score:
        """Score a model on one task.

        Parameters
        ----------
        module : Module
            The base model, or the base model under an adapter.
        task : str
            The task's name; its metric decides whether the model is asked for likelihoods or for text.
        split : {"train", "validation", "test"}
            Which examples.

        Raises
        ------
        RunError
            If a likelihood is not finite.
        """
        metric = get_metric(self._tasks[task].metric)
        examples = [example for example, _ in self._kept(task, split)]
        if metric.needs == "likelihood":
            encoded = self._encode(task, split)
            losses = self.model.nll(module, encoded, batch_tokens=self.config.scoring_tokens)
            values = [metric.score([-loss], e.targets) for loss, e in zip(losses, examples, strict=True)]
        else:
            answers = self._answers(module, task, split)
            values = [metric.score(a, e.targets) for a, e in zip(answers, examples, strict=True)]
        if not np.isfinite(values).all():
            raise RunError(f"The {metric.name} of task {task} is not finite after training.")
        value = float(np.mean(values))
        return Score(value, metric.name, metric.higher_is_better, tuple(map(float, values)))

    def gradient_features(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> NDArray[np.float32]:
        """Mean gradient of the fresh adapter over two halves of training examples; see FeatureLearner.

        Raises
        ------
        InputError
            If the task has fewer than two training examples.
        """
        import torch

        encoded = self._encode(task, "train")
        half = min(examples, len(encoded) // 2)
        if half < 1:
            raise InputError(f"Task {task} has {len(encoded)} training examples; its gradient needs two.")
        order = np.random.default_rng((seed, 0)).permutation(len(encoded))
        torch.manual_seed(seed)
        with self.config.method.attach(self.model) as module:
            parameters = self.config.method.first_order_parameters(module)
            module.requires_grad_(False)
            for parameter in parameters:
                parameter.requires_grad_(True)
            halves = [order[:half], order[half : 2 * half]]
            means = [self._mean_gradient(module, parameters, [encoded[i] for i in part]) for part in halves]
        return np.stack([sketch(mean, dimension, seed) for mean in means])

    def _mean_gradient(
        self, module: nn.Module, parameters: Sequence[nn.Parameter], examples: Sequence[Encoded]
    ) -> NDArray[np.float32]:
        """Average over examples the gradient of each one's mean loss per target token."""
        import torch

        from cotune.training._loop import pass_tokens

        module.zero_grad(set_to_none=True)
        for indices in self.model.chunks(examples, pass_tokens(self.model, self.config.training)):
            batch = self.model.batch([examples[i] for i in indices])
            share = torch.bincount(batch.example, minlength=batch.n_examples).float().reciprocal()
            losses = self.model.target_losses(module, batch)
            ((losses * share[batch.example]).sum() / len(examples)).backward()  # type: ignore[no-untyped-call]
        parts = [p.grad.float().flatten() for p in parameters if p.grad is not None]
        return np.asarray(torch.cat(parts).cpu().numpy(), dtype=np.float32)

    def _batches(self, subset: Subset, seed: int) -> Iterator[list[Encoded]]:
        pools = [self._encode(name, "train") for name in subset]
        config = self.config.training
        mixture = Mixture(
            [len(p) for p in pools], config.batch_size, config.tasks_per_batch, _derive(seed, subset)
        )
        for rows in mixture:
            yield [pools[row.task][index] for row in rows for index in row.examples]

    def _answers(self, module: nn.Module, task: str, split: str) -> list[str]:
        """Answer every example: the likeliest of its choices, or what is generated up to the line's end."""
        kept = self._kept(task, split)
        open_ended = [encoded for example, encoded in kept if not example.choices]
        texts = iter(self.model.generate(module, open_ended, batch_tokens=self.config.scoring_tokens))
        losses = self.model.nll(module, self._options(task, split), batch_tokens=self.config.scoring_tokens)
        if not np.isfinite(losses).all():
            raise RunError(f"The likelihood of a choice of task {task} is not finite after training.")
        remaining = iter(losses)
        answers = []
        for example, _ in kept:
            if example.choices:
                ranked = [(next(remaining), choice) for choice in example.choices]
                answers.append(min(ranked)[1])
            else:
                answers.append(next(texts).split("\n")[0])
        return answers

    def _options(self, task: str, split: str) -> list[Encoded]:
        """Encode every choice of every example of a split, one example after the other."""
        options = [
            self._encode_one(task, example, choice)
            for example, _ in self._kept(task, split)
            for choice in example.choices
        ]
        fitting = [option for option in options if option is not None]
        if len(fitting) < len(options):
            raise InputError(
                f"A choice of task {task} is longer than max_target_tokens {self.config.max_target_tokens}."
            )
        return fitting

    def _encode(self, task: str, split: str) -> list[Encoded]:
        return [encoded for _, encoded in self._kept(task, split)]

    def _kept(self, task: str, split: str) -> list[tuple[Example, Encoded]]:
        """Encode the examples of a split that fit, once; note what was cut or dropped."""
        key = (task, split)
        if key not in self._encoded:
            examples = self._tasks[task][split]
            if not examples:
                raise InputError(f"Task {task} has no {split} examples; it needs some in every split.")
            pairs = [(e, self._encode_one(task, e, e.targets[0])) for e in examples]
            fitting = [(example, encoded) for example, encoded in pairs if encoded is not None]
            if not fitting:
                raise InputError(
                    f"Every {split} example of task {task} has a target of more than max_target_tokens "
                    f"{self.config.max_target_tokens} tokens; raise it or leave the task out."
                )
            self._encoded[key] = fitting
        return self._encoded[key]

    def _encode_one(self, task: str, example: Example, target: str) -> Encoded | None:
        render = partial(format_prompt, self._tasks[task].instruction, choices=example.choices)
        try:
            return self.encoder.encode(render, example.input, format_target(target))
        except InputError as error:
            raise InputError(f"Task {task}: {error}") from error

    def _notes(self, task: str, split: str) -> Iterator[str]:
        """Say what was cut or dropped so that a split fits the model."""
        n_examples, kept = len(self._tasks[task][split]), self._encode(task, split)
        if len(kept) < n_examples:
            yield (
                f"{n_examples - len(kept)} of {n_examples} {split} examples have targets of more than "
                f"{self.config.max_target_tokens} tokens and were dropped."
            )
        cut = [encoded.n_cut for encoded in kept if encoded.n_cut]
        if cut:
            yield (
                f"{len(cut)} of {len(kept)} {split} inputs were cut at the end, by {sum(cut)} tokens in all, "
                f"to fit {self.config.max_prompt_tokens} prompt tokens."
            )


def _derive(seed: int, subset: Subset) -> int:
    """Give every subset its own stream of random numbers under one seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{'|'.join(subset)}".encode()).digest()[:6], "big")
