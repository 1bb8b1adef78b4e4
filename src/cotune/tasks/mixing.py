"""Mixing: how the examples of several tasks become batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cotune.exceptions import InputError

_TASK_ORDER, _EXAMPLE_ORDER, _TASK_DRAWS = 0, 1, 2  # the kinds of random streams under one seed


class Row(NamedTuple):
    """The part of a batch that belongs to one task."""

    task: int
    """Index of the task."""
    examples: list[int]
    """Indices into the task's examples."""


class Batches(ABC):
    """An endless sequence of batches, determined by the arguments alone.

    The examples of a task come from shuffled passes over all of them (epochs), without replacement within a
    pass.

    Parameters
    ----------
    task_sizes : sequence of int
        Number of examples of each task, at least 1.
    batch_size : int
        Number of examples of a step, shared evenly between its rows (their sizes differ by at most 1).
    tasks_per_batch : int
        Number of rows of a step.
    seed : int
        Not negative.

    Raises
    ------
    InputError
        If a number is out of range, or a batch has fewer examples than rows.
    """

    def __init__(self, task_sizes: Sequence[int], batch_size: int, tasks_per_batch: int, seed: int) -> None:
        name = type(self).__name__
        if not task_sizes or min(task_sizes) < 1:
            raise InputError(
                f"The 'task_sizes' of a {name} must name at least one task, each of at least one example, "
                f"got {list(task_sizes)} instead."
            )
        if tasks_per_batch < 1:
            raise InputError(
                f"The 'tasks_per_batch' of a {name} must be at least 1, got {tasks_per_batch} instead."
            )
        if seed < 0:
            raise InputError(f"The 'seed' of a {name} must not be negative, got {seed} instead.")
        self.task_sizes = tuple(task_sizes)
        self.rows_per_batch = self._count_rows(tasks_per_batch)
        if batch_size < self.rows_per_batch:
            raise InputError(
                f"The 'batch_size' of a {name} must be at least the number of tasks in a batch "
                f"({self.rows_per_batch}), got {batch_size} instead."
            )
        self.batch_size = batch_size
        self.seed = seed
        smaller, extra = divmod(batch_size, self.rows_per_batch)
        self._row_sizes = [smaller + (row < extra) for row in range(self.rows_per_batch)]
        self._stream = self.since(0)
        self._next = 0

    def __iter__(self) -> Iterator[list[Row]]:
        """Iterate over all steps from the first; there is no last."""
        return self.since(0)

    def __getitem__(self, step: int) -> list[Row]:
        """Return the rows of a step; going forward costs what lies between, going back starts over."""
        if step < 0:
            raise IndexError(f"a {type(self).__name__} is endless, its steps count from 0")
        if step < self._next:
            self._stream, self._next = self.since(step), step
        rows = next(islice(self._stream, step - self._next, None))
        self._next = step + 1
        return rows

    def since(self, start: int) -> Iterator[list[Row]]:
        """Iterate over all steps from a given one, as if those before had been drawn."""
        tasks = self._tasks()
        seen = [0] * len(self.task_sizes)
        for row_tasks in islice(tasks, start):
            for task, size in zip(row_tasks, self._row_sizes, strict=True):
                seen[task] += size
        examples = [self._epochs(task, first) for task, first in enumerate(seen)]
        for row_tasks in tasks:
            yield [
                Row(task, list(islice(examples[task], size)))
                for task, size in zip(row_tasks, self._row_sizes, strict=True)
            ]

    def counts(self, steps: int, *, start: int = 0) -> NDArray[np.int64]:
        """Count the examples of every task in every step, without drawing them.

        Parameters
        ----------
        steps : int
            How many steps.
        start : int
            The first of them.

        Returns
        -------
        ndarray of int, shape (steps, tasks)
            Every row sums to ``batch_size``.
        """
        table = np.zeros((steps, len(self.task_sizes)), dtype=np.int64)
        for at, row_tasks in enumerate(islice(self._tasks(), start, start + steps)):
            np.add.at(table[at], row_tasks, self._row_sizes)
        return table

    @abstractmethod
    def _tasks(self) -> Iterator[list[int]]:
        """Yield the task of every row, step by step."""

    def _count_rows(self, tasks_per_batch: int) -> int:
        return tasks_per_batch

    def _epochs(self, task: int, start: int) -> Iterator[int]:
        size = self.task_sizes[task]
        first, done = divmod(start, size)
        for epoch in count(first):
            generator = np.random.default_rng((self.seed, _EXAMPLE_ORDER, task, epoch))
            yield from generator.permutation(size).tolist()[done:]
            done = 0


class Mixture(Batches):
    """Batches that mix several tasks uniformly: every task is met as often as any other, whatever its size.

    A step takes the next tasks of a shuffled round robin: every round names each task once in a fresh order,
    so the numbers of rows of two tasks never differ by more than one, and no step names a task twice.

    Parameters
    ----------
    task_sizes, batch_size, seed
        As for :class:`Batches`.
    tasks_per_batch : int
        Number of tasks of a step; all tasks where there are fewer.

    Examples
    --------
    >>> mixture = Mixture([100, 10], batch_size=4, tasks_per_batch=2, seed=0)
    >>> [len(row.examples) for row in mixture[0]]
    [2, 2]
    """

    def _count_rows(self, tasks_per_batch: int) -> int:
        return min(tasks_per_batch, len(self.task_sizes))

    def _tasks(self) -> Iterator[list[int]]:
        tasks = self._round_robin()
        while True:
            yield list(islice(tasks, self.rows_per_batch))

    def _round_robin(self) -> Iterator[int]:
        order: list[int] = []
        for number in count():
            shuffled = np.random.default_rng((self.seed, _TASK_ORDER, number)).permutation(
                len(self.task_sizes)
            )
            order = self._after(order, number, shuffled.tolist())
            yield from order

    def _after(self, previous: list[int], number: int, order: list[int]) -> list[int]:
        """Reorder a round so that the step which began in the previous round gets no task twice."""
        missing = -number * len(self.task_sizes) % self.rows_per_batch
        if not missing:
            return order
        taken = set(previous[missing - self.rows_per_batch :])
        first = [task for task in order if task not in taken][:missing]
        return first + [task for task in order if task not in first]


class SampledMixture(Batches):
    """Batches whose tasks are drawn with given probabilities, every row's independently.

    A step may name a task several times. The draws of a step depend on the seed and the step alone, whatever
    was drawn before. With as many rows as examples every example has a task of its own.

    Parameters
    ----------
    task_sizes, batch_size, tasks_per_batch, seed
        As for :class:`Batches`.
    probabilities : callable (step)
        Returns the probability of every task in a step, shape (tasks,).

    Examples
    --------
    >>> mixture = SampledMixture([100, 10], 4, 4, 0, probabilities=lambda step: np.array([1.0, 0.0]))
    >>> mixture.counts(2).tolist()
    [[4, 0], [4, 0]]
    """

    def __init__(
        self,
        task_sizes: Sequence[int],
        batch_size: int,
        tasks_per_batch: int,
        seed: int,
        *,
        probabilities: Callable[[int], NDArray[np.float64]],
    ) -> None:
        super().__init__(task_sizes, batch_size, tasks_per_batch, seed)
        self._probabilities = probabilities

    def _tasks(self) -> Iterator[list[int]]:
        for step in count():
            generator = np.random.default_rng((self.seed, _TASK_DRAWS, step))
            drawn = generator.choice(len(self.task_sizes), self.rows_per_batch, p=self._probabilities(step))
            yield drawn.tolist()
