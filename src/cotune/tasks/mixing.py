"""Mixing: how the examples of several tasks become batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple

import numpy as np

from cotune.exceptions import InputError

_TASK_ORDER, _EXAMPLE_ORDER = 0, 1  # the two kinds of random streams under one seed


class Row(NamedTuple):
    """The part of a batch that belongs to one task."""

    task: int
    """Index of the task."""
    examples: list[int]
    """Indices into the task's examples."""


class Mixture:
    """Batches that mix several tasks uniformly: every task is met as often as any other, whatever its size.

    A step takes the next tasks of a shuffled round robin: every round names each task once in a fresh order,
    so the numbers of rows of two tasks never differ by more than one, and no step names a task twice. The
    examples of a task come from shuffled passes over all of them (epochs), without replacement within a pass.
    The sequence is endless and determined by the arguments alone.

    Parameters
    ----------
    task_sizes : sequence of int
        Number of examples of each task, at least 1.
    batch_size : int
        Number of examples of a step, shared evenly between its rows (their sizes differ by at most 1).
    tasks_per_batch : int
        Number of tasks of a step; all tasks where there are fewer.
    seed : int
        Not negative.

    Raises
    ------
    InputError
        If a number is out of range, or a batch has fewer examples than tasks.

    Examples
    --------
    >>> mixture = Mixture([100, 10], batch_size=4, tasks_per_batch=2, seed=0)
    >>> [len(row.examples) for row in mixture[0]]
    [2, 2]
    """

    def __init__(self, task_sizes: Sequence[int], batch_size: int, tasks_per_batch: int, seed: int) -> None:
        if not task_sizes or min(task_sizes) < 1:
            raise InputError(
                "The 'task_sizes' of a Mixture must name at least one task, each of at least one example, "
                f"got {list(task_sizes)} instead."
            )
        if tasks_per_batch < 1:
            raise InputError(
                f"The 'tasks_per_batch' of a Mixture must be at least 1, got {tasks_per_batch} instead."
            )
        if seed < 0:
            raise InputError(f"The 'seed' of a Mixture must not be negative, got {seed} instead.")
        self.task_sizes = tuple(task_sizes)
        self.rows_per_batch = min(tasks_per_batch, len(self.task_sizes))
        if batch_size < self.rows_per_batch:
            raise InputError(
                "The 'batch_size' of a Mixture must be at least the number of tasks in a batch "
                f"({self.rows_per_batch}), got {batch_size} instead."
            )
        self.batch_size = batch_size
        self.seed = seed
        self._stream = self._generate()
        self._next = 0

    def __iter__(self) -> Iterator[list[Row]]:
        """Iterate over all steps from the first; there is no last."""
        return self._generate()

    def __getitem__(self, step: int) -> list[Row]:
        """Return the rows of a step; going forward costs what lies between, going back starts over."""
        if step < 0:
            raise IndexError("a Mixture is endless, its steps count from 0")
        if step < self._next:
            self._stream, self._next = self._generate(), 0
        rows = next(islice(self._stream, step - self._next, None))
        self._next = step + 1
        return rows

    def _generate(self) -> Iterator[list[Row]]:
        tasks = self._round_robin()
        examples = [self._epochs(task) for task in range(len(self.task_sizes))]
        smaller, extra = divmod(self.batch_size, self.rows_per_batch)
        sizes = [smaller + (row < extra) for row in range(self.rows_per_batch)]
        while True:
            step = zip(islice(tasks, self.rows_per_batch), sizes, strict=True)
            yield [Row(task, list(islice(examples[task], size))) for task, size in step]

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

    def _epochs(self, task: int) -> Iterator[int]:
        for epoch in count():
            generator = np.random.default_rng((self.seed, _EXAMPLE_ORDER, task, epoch))
            yield from generator.permutation(self.task_sizes[task]).tolist()
