"""Tasks in planted groups whose scores follow a formula: as many as wanted, in no time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from cotune.exceptions import InputError, RunError
from cotune.tasks import Task
from cotune.training.learner import Fit, LearnerConfig, Score, Subset

_FORMAT = 1
"""Raised whenever the same configuration would give other results, so that no stored run is mistaken."""

_LENGTH = 16
"""Of a task's gradient."""
_OWN = 0.3
"""Length of what is a task's own in its gradient, beside its group's part of length 1."""
_OWN_SEED, _RUN_SEED, _LINEAR_SEED = 1, 2, 3


class PlantedConfig(LearnerConfig):
    """Tasks in planted groups, which trains nothing: scores follow a formula, see :class:`PlantedLearner`."""

    reads_tasks: ClassVar[bool] = False

    tasks: Annotated[int, Field(ge=1, le=9999)] = 12
    """Number of tasks; more of them leave the others as they are."""
    groups: PositiveInt = 3
    """Number of planted groups; tasks are dealt out in turn."""
    effect: NonNegativeFloat = 1.0
    """What a company all of a task's own group adds to its score."""
    harm: NonNegativeFloat = 0.5
    """What a company all of other groups takes off."""
    noise: NonNegativeFloat = 0.3
    """Standard deviation of a run's noise."""
    failures: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the runs that diverge."""
    examples: PositiveInt = 8
    """Examples behind a score."""
    world_seed: NonNegativeInt = 0
    """Decides the tasks' own levels and gradients."""
    side_by_side: PositiveInt = 64
    """Runs done in one pass; sets the speed, not the result."""

    @model_validator(mode="after")
    def _groups_have_tasks(self) -> PlantedConfig:
        if self.groups > self.tasks:
            raise ValueError(f"groups must be at most the number of tasks {self.tasks}, got {self.groups}.")
        return self

    def build(self, tasks: Sequence[Task] = (), base: Path = Path()) -> PlantedLearner:
        """Make the learner, which brings its own tasks and reads no files; both arguments are ignored."""
        return PlantedLearner(self)


class PlantedLearner:
    """Tasks in planted groups, scored by a formula.

    For task i of group c in a run on the subset S, with share the part of its company {j in S, j != i} that
    is of group c,

        f_i(S) = level_i + effect * share - harm * (1 - share) + noise,

    and the level alone for a task alone. Level and noise are determined by the configuration, the subset, the
    seed and the split; the number of steps changes nothing. Gradients and linearised margins are those of a
    linear regression in which tasks of a group have similar weights, so that every estimator of affinity has
    something to find.

    Parameters
    ----------
    config : PlantedConfig, optional
        Number of tasks and groups, effect and noise.
    """

    linear_loss: Literal["logistic", "squared"] = "squared"
    """The loss of the linear regression."""
    separate_streams: Literal[True] = True
    """Noise is drawn by subset and seed."""

    def __init__(self, config: PlantedConfig | None = None) -> None:
        self.config = config or PlantedConfig()

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(f"task-{number:04d}" for number in range(self.config.tasks))

    @cached_property
    def _place(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self.tasks)}

    @cached_property
    def families(self) -> Mapping[str, str]:
        """The planted group of every task."""
        return {name: f"planted-{self._group(number)}" for name, number in self._place.items()}

    @property
    def side_by_side(self) -> int:
        """How many subsets one pass should hold."""
        return self.config.side_by_side

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the formula, without the number of tasks."""
        formula = self.config.model_dump(mode="json", exclude={"tasks", "side_by_side"})
        content = json.dumps({"planted": formula, "format": _FORMAT}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def task_fingerprint(self, task: str) -> str:
        """Return the task's number, which determines it."""
        return str(self._number(task))

    def check(self) -> dict[str, tuple[str, ...]]:
        """Return no notes: there are no data to cut."""
        return dict.fromkeys(self.tasks, ())

    def expected_tokens(self, subset: Subset, steps: int) -> None:
        """Return None: there are no tokens."""

    def prepare(self, folder: Path) -> None:
        """Do nothing: runs share nothing."""

    def fit_score(self, subset: Subset, seed: int) -> dict[str, Score]:
        """Score the tasks of a subset on validation examples."""
        return dict(self.fit(subset, seed, steps=1, split="validation").scores)

    def fit(self, subset: Subset, seed: int, *, steps: int, split: str, save_to: Path | None = None) -> Fit:
        """Score a subset by the formula; ``save_to`` receives the levels as ``model.json``.

        Raises
        ------
        InputError
            If the subset holds a task the learner does not have.
        RunError
            If the run is among those that diverge.
        """
        config = self.config
        numbers = np.array([self._number(task) for task in subset])
        rng = self._rng(_RUN_SEED, seed, split == "test", *numbers)
        if rng.random() < config.failures:
            raise RunError(f"Training on {', '.join(subset)} diverged, as {config.failures:.0%} of runs do.")
        truth = self._truth(numbers) + config.noise * rng.standard_normal(len(numbers))
        spread = rng.standard_normal((len(numbers), config.examples))
        values = truth[:, None] + spread - spread.mean(1, keepdims=True)
        if save_to is not None:
            levels = dict(zip(subset, truth.tolist(), strict=True))
            (save_to / "model.json").write_text(json.dumps(levels) + "\n")
        scores = {
            task: Score(float(of_task.mean()), "planted", True, tuple(of_task.tolist()))
            for task, of_task in zip(subset, values, strict=True)
        }
        return Fit(scores)

    def fit_many(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], split: str
    ) -> list[Fit]:
        """Do what separate calls of :meth:`fit` do."""
        runs = zip(subsets, seeds, steps, strict=True)
        return [self.fit(subset, seed, steps=count, split=split) for subset, seed, count in runs]

    def fit_splits(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], splits: Sequence[str]
    ) -> list[list[Fit]]:
        """Do what separate calls of :meth:`fit` do."""
        by_split = [self.fit_many(subsets, seeds, steps=steps, split=split) for split in splits]
        return [list(fits) for fits in zip(*by_split, strict=True)]

    def gradient_features(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> NDArray[np.float32]:
        """Return the task's weights as two halves of the examples see them, shape (2, length)."""
        number = self._number(task)
        noise = self._rng(_LINEAR_SEED, seed, number).standard_normal((2, _LENGTH)) / np.sqrt(
            _LENGTH * examples
        )
        return np.asarray(self._weights(number) + noise, dtype=np.float32)[:, :dimension]

    def linearise(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> dict[str, NDArray[np.float32]]:
        """Return gradients, margins of 0 and targets of the task's linear regression."""
        number, length = self._number(task), min(dimension, _LENGTH)
        rng = self._rng(_LINEAR_SEED, seed, number)
        found: dict[str, NDArray[np.float32]] = {}
        for split in ("train", "eval"):
            gradients = rng.standard_normal((examples, length))
            targets = gradients @ self._weights(number)[:length] + 0.1 * rng.standard_normal(examples)
            found[f"{split}_gradients"] = np.asarray(gradients, dtype=np.float32)
            found[f"{split}_margins"] = np.zeros(examples, dtype=np.float32)
            found[f"{split}_targets"] = np.asarray(targets, dtype=np.float32)
        return found

    def lookahead(
        self, seed: int, *, steps: int, every: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return losses that fall along the run, and fall by a step on a task as its weights are alike."""
        weights = np.array([self._weights(number) for number in range(self.config.tasks)])
        unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        rng = self._rng(_LINEAR_SEED, seed, steps, every)
        step = np.arange(0, steps, every)
        before = np.exp(-step / steps)[:, None] * (1.0 + 0.1 * rng.random((len(step), len(unit))))
        fall = 0.05 * unit @ unit.T + 0.02 * rng.standard_normal((len(step), len(unit), len(unit)))
        return before, before[:, :, None] * (1.0 - fall)

    def _truth(self, numbers: NDArray[np.intp]) -> NDArray[np.float64]:
        levels = np.array([self._rng(_OWN_SEED, number).standard_normal() for number in numbers])
        if len(numbers) == 1:
            return levels
        group = self._group(numbers)
        share = ((group[:, None] == group).sum(1) - 1) / (len(numbers) - 1)
        return np.asarray(levels + self.config.effect * share - self.config.harm * (1 - share))

    def _weights(self, number: int) -> NDArray[np.float64]:
        """Return what a task's regression is to learn: its group's weights, of length 1, and its own."""
        shared, own = self._rng(0, self._group(number)), self._rng(_OWN_SEED, number, 1)
        parts = (shared.standard_normal(_LENGTH), _OWN * own.standard_normal(_LENGTH))
        return np.asarray(sum(parts) / np.sqrt(_LENGTH))

    def _group(self, number: int | NDArray[np.intp]) -> NDArray[np.intp]:
        return np.asarray(number) % self.config.groups

    def _number(self, task: str) -> int:
        if task not in self._place:
            raise InputError(f"The planted tasks are {self.tasks[0]} to {self.tasks[-1]}, got {task!r}.")
        return self._place[task]

    def _rng(self, *content: int | NDArray[np.intp]) -> np.random.Generator:
        return np.random.default_rng([self.config.world_seed, *map(int, content)])
