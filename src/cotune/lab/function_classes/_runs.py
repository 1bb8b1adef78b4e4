"""Runs of function classes: the base model, its trained copies and their errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cotune._seals import file_damage
from cotune.exceptions import RunError
from cotune.lab.function_classes._first_order import linearise, look_ahead
from cotune.lab.function_classes._laws import FUNCTION_CLASSES
from cotune.lab.function_classes._model import StackedRegressor
from cotune.lab.function_classes._prompts import batches, generator
from cotune.lab.function_classes._settings import FunctionClassSettings
from cotune.lab.function_classes._storage import load, save
from cotune.lab.function_classes._training import Training, train
from cotune.training.learner import Subset
from cotune.training.side_by_side import passes


@dataclass(frozen=True, eq=False)
class TrainedCopy:
    """A trained copy of the base model.

    Parameters
    ----------
    model : StackedRegressor
        The one model.
    losses : tuple of float
        Training loss of every step.
    errors : dict of str to ndarray of shape (eval_prompts, points)
        Squared error of every prediction, by class.
    """

    model: StackedRegressor
    losses: tuple[float, ...]
    errors: dict[str, NDArray[np.float64]]


class CopyTrainer:
    """Trains and scores runs of one configuration."""

    def __init__(self, config: FunctionClassSettings) -> None:
        self.config = config
        self._base: StackedRegressor | None = None
        self._eval_prompts: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}

    @property
    def base(self) -> StackedRegressor:
        """The model trained on all classes, trained on first use."""
        if self._base is None:
            base, config = self._new_model(), self.config
            stream = self._batches(config.classes, ("base", config.base_seed))
            train(base, [stream], steps=config.base_steps, lr=config.base_lr, names=["the base model"])
            self._base = base
        return self._base

    def store_base(self, path: Path) -> None:
        """Store the base model, or load it where it is stored already and whole."""
        if not path.exists() or file_damage(path):
            save(self.base, path)
        elif self._base is None:
            self._base = load(self._new_model(), path)

    def run(
        self, subsets: Sequence[Subset], seeds: Sequence[int], steps: Sequence[int], split: str
    ) -> list[TrainedCopy]:
        """Train and score, runs of equal length together; return them in the order asked for."""
        done: dict[int, TrainedCopy] = {}
        for part in passes(len(subsets), len(seeds), steps, self.config.side_by_side):
            length = steps[part[0]]
            runs = self._one_pass([subsets[r] for r in part], [seeds[r] for r in part], length, split)
            done.update(zip(part, runs, strict=True))
        return [done[row] for row in range(len(subsets))]

    def _one_pass(
        self, subsets: Sequence[Subset], seeds: Sequence[int], steps: int, split: str
    ) -> Iterator[TrainedCopy]:
        pairs = list(zip(subsets, seeds, strict=True))
        names = [f"{' + '.join(subset)} with seed {seed}" for subset, seed in pairs]
        streams = [self._batches(subset, ("run", seed)) for subset, seed in pairs]
        models = self.base.copies(len(pairs))
        losses = train(models, streams, steps=steps, lr=self.config.lr, names=names)
        for index, subset in enumerate(subsets):
            model = models.member(index)
            errors = {name: self._errors(model, name, split) for name in subset}
            if not all(np.isfinite(e).all() for e in errors.values()):
                raise RunError(f"The error of {names[index]} is not finite after step {steps}.")
            yield TrainedCopy(model, tuple(losses[:, index].tolist()), errors)

    def linearise(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> dict[str, NDArray[np.float32]]:
        """Linearise the base model on prompts of a class; see :class:`LinearisedLearner`."""
        config = self.config
        source = generator("linearise", config.base_seed, seed, task)
        prompts = FUNCTION_CLASSES[task].prompts(examples, config.points, config.dimension, source)
        scored = tuple(part[:examples] for part in self._prompts(task, "validation"))
        arrays = {}
        for name, (x, y) in {"train": prompts, "eval": scored}.items():
            gradients, predictions, targets = linearise(self.base, (x, y), dimension=dimension, seed=seed)
            arrays[f"{name}_gradients"] = gradients
            arrays[f"{name}_margins"] = predictions
            arrays[f"{name}_targets"] = targets
        return arrays

    def look_ahead(
        self, seed: int, *, steps: int, every: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Look ahead along a run on all classes; see :class:`LookaheadLearner`."""
        classes = self.config.classes
        before, after = look_ahead(
            Training(self.base.copies(1), steps=steps, lr=self.config.lr),
            self._batches(classes, ("run", seed)),
            [self._batches((name,), ("lookahead", seed)) for name in classes],
            steps=steps,
            every=every,
        )
        if not (np.isfinite(before).all() and np.isfinite(after).all()):
            raise RunError(f"An error of the lookahead with seed {seed} is not finite.")
        return before, after

    def _new_model(self) -> StackedRegressor:
        config = self.config
        return StackedRegressor(
            dimension=config.dimension,
            points=config.points,
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            generator=generator("weights", config.base_seed),
        )

    def _batches(self, subset: Subset, key: tuple[object, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        config = self.config
        return batches(
            # The order of the rows would change the rounding of the sums over them.
            sorted(subset),
            batch_size=config.batch_size,
            points=config.points,
            dimension=config.dimension,
            key=key,
        )

    def _errors(self, model: StackedRegressor, task: str, split: str) -> NDArray[np.float64]:
        x, y = self._prompts(task, split)
        with torch.inference_mode():
            predicted = model(x.unsqueeze(0), y.unsqueeze(0)).squeeze(0)
        return np.asarray((predicted - y).square().numpy(), dtype=np.float64)

    def _prompts(self, task: str, split: str) -> tuple[Tensor, Tensor]:
        """Return the prompts that every model is scored on, drawn once."""
        if (task, split) not in self._eval_prompts:
            config = self.config
            self._eval_prompts[task, split] = FUNCTION_CLASSES[task].prompts(
                config.eval_prompts,
                config.points,
                config.dimension,
                generator(split, config.base_seed, task),
            )
        return self._eval_prompts[task, split]
