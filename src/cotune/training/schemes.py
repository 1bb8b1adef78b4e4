"""Sampling schemes: which tasks the examples of a step come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from cotune._config import Config
from cotune._registry import Registry
from cotune.tasks.mixing import Batches, Mixture, SampledMixture


class Scheme(Config):
    """Which tasks the examples of a step come from; its fields are the scheme's options."""

    @abstractmethod
    def batches(
        self, task_sizes: Sequence[int], *, batch_size: int, tasks_per_batch: int, seed: int
    ) -> Batches:
        """Return the batches of a run, of ``batch_size`` examples each under every scheme.

        Parameters
        ----------
        task_sizes : sequence of int
            Number of training examples of each task.
        batch_size : int
            Examples of a step.
        tasks_per_batch : int
            Rows of a step, each of one task.
        seed : int
            Decides tasks and examples of every step.
        """


class SamplingScheme(Scheme):
    """A scheme that draws the task of every row with probabilities of its own, step by step."""

    @abstractmethod
    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return the probability of each task in a step, counted from 0; shape (tasks,), its sum is 1."""

    def batches(
        self, task_sizes: Sequence[int], *, batch_size: int, tasks_per_batch: int, seed: int
    ) -> Batches:
        """Return batches whose rows have independently drawn tasks."""
        return SampledMixture(
            task_sizes,
            batch_size,
            tasks_per_batch,
            seed,
            probabilities=partial(self.probabilities, tuple(task_sizes)),
        )


class SizeScheme(SamplingScheme):
    """A sampling scheme that goes by the sizes of the tasks."""

    max_examples_per_task: PositiveInt | None = None
    """A larger task counts as one of this size (K of the T5 paper's examples-proportional mixing, section
    3.5.2); all of its examples are still drawn from. Null for no limit."""

    def tempered(self, task_sizes: Sequence[int], temperature: float) -> NDArray[np.float64]:
        """Return p_i ~ min(n_i, K)^(1/T).

        Parameters
        ----------
        task_sizes : sequence of int
            n, shape (tasks,).
        temperature : float
            T: 1 is proportional to size, large is uniform, small leaves the largest task alone.
        """
        sizes = np.minimum(np.asarray(task_sizes, dtype=float), self.max_examples_per_task or np.inf)
        # Relative to the largest, so that no power overflows.
        weights = (sizes / sizes.max()) ** (1 / temperature)
        return np.asarray(weights / weights.sum(), dtype=float)


class RoundRobin(Scheme):
    """Every task is met as often as any other: a shuffled round names each once, no step names one twice."""

    def batches(
        self, task_sizes: Sequence[int], *, batch_size: int, tasks_per_batch: int, seed: int
    ) -> Batches:
        """Return batches of the next tasks of the round robin."""
        return Mixture(task_sizes, batch_size, tasks_per_batch, seed)


class Uniform(SamplingScheme):
    """Every task with the same probability, p_i = 1 / tasks ("equal mixing" of the T5 paper)."""

    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return 1 / tasks for each task."""
        return np.full(len(task_sizes), 1 / len(task_sizes))


class Proportional(SizeScheme):
    """A task's probability is its share of all training examples, p_i ~ min(n_i, K)."""

    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return each task's share of the examples."""
        return self.tempered(task_sizes, 1.0)


class Temperature(SizeScheme):
    """p_i ~ min(n_i, K)^(1/T), the temperature-scaled mixing of multilingual BERT and T5."""

    temperature: PositiveFloat
    """T: 1 is proportional, the larger the nearer to uniform; below 1 large tasks get more than a share."""

    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return the shares at the temperature."""
        return self.tempered(task_sizes, self.temperature)


class Annealed(SizeScheme):
    """p_i ~ min(n_i, K)^(1/T) at a temperature that goes from ``start`` to ``end`` over ``horizon`` steps.

    T(step) = start (end / start)^min(step / horizon, 1): every step multiplies the temperature by the same
    factor, and from step ``horizon`` on it is ``end``. ``start`` above ``end`` cools from near uniform to
    proportional, ``start`` below ``end`` is the reverse. The horizon is counted in steps of the run, not in
    shares of it, so that runs of different lengths begin alike.
    """

    start: PositiveFloat
    """Temperature of the first step."""
    end: PositiveFloat
    """Temperature from step ``horizon`` on."""
    horizon: PositiveInt
    """Optimiser steps over which the temperature moves."""

    def temperature(self, step: int) -> float:
        """Return T at a step, counted from 0."""
        return float(self.start * (self.end / self.start) ** min(step / self.horizon, 1.0))

    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return the shares at the temperature of the step."""
        return self.tempered(task_sizes, self.temperature(step))


SCHEMES: Registry[Scheme] = Registry(
    Scheme,
    key="name",
    group="cotune.schemes",
    classes={
        "annealed": Annealed,
        "proportional": Proportional,
        "round_robin": RoundRobin,
        "temperature": Temperature,
        "uniform": Uniform,
    },
)
"""The names a study file may write under ``training.scheme``."""
