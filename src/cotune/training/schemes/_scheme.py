from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from cotune._config import Config
from cotune.tasks.mixing import Batches, SampledMixture


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
