"""The toy language as tasks: every input belongs to one split, the same one for all tasks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path

from cotune.lab.toy_language._tasks import INPUT_LENGTH, N_SYMBOLS, TOY_TASKS, ToyTask, text_of
from cotune.lab.toy_language._tokenizer import SEPARATOR
from cotune.tasks import Example, Task
from cotune.tasks.readers import MaxExamples, ReaderConfig
from cotune.tasks.readers._base import Source

SPLIT_SIZES = {"train": 3072, "validation": 256, "test": 768}
"""Inputs of each split; pretraining sees those of ``"train"`` alone."""


class ToyLanguageReader(ReaderConfig):
    """Reads tasks of the toy language, functions of three symbols such as "reverse": "3 7 2 > 2 7 3".

    True/false tasks are balanced: as many examples are true as false, in every split.
    """

    def sources(self, base: Path) -> dict[str, Callable[[], Source]]:
        """Return what makes each task."""
        return {name: partial(_source, task) for name, task in TOY_TASKS.items()}


def toy_tasks(
    names: Sequence[str],
    *,
    train: int | None = 256,
    validation: int | None = 32,
    test: int | None = 64,
    seed: int = 0,
) -> list[Task]:
    """Return tasks of the toy language.

    Parameters
    ----------
    names : sequence of str
        Keys of :data:`TOY_TASKS`, in the order wanted.
    train, validation, test : int or None
        The most examples of each split; None takes all there are.
    seed : int
        Decides which examples are taken, not which split an input belongs to.

    Returns
    -------
    list of Task
        In the format "plain" and without instruction; scored by exact match, or accuracy where true or false.

    Raises
    ------
    InputError
        If there is no task of a name; names the nearest one.
    """
    reader = ToyLanguageReader(
        include=list(names), max_examples=MaxExamples(train=train, validation=validation, test=test)
    )
    by_name = {task.name: task for task in reader.read(base=Path(), seed=seed)}
    return [by_name[name] for name in names]


def examples_of(task: ToyTask, inputs: Iterable[tuple[int, ...]]) -> list[Example]:
    """Return the examples of a task for some inputs."""
    return [
        Example(f"{text_of(symbols)} {SEPARATOR}", (task.target(symbols),), task.choices)
        for symbols in inputs
    ]


def balanced(examples: Sequence[Example]) -> list[Example]:
    """Keep of every choice as many examples as of the rarest one, the first of them."""
    if not examples[0].choices:
        return list(examples)
    counts = Counter(example.targets for example in examples)
    rarest = min(counts.values())
    taken: Counter[tuple[str, ...]] = Counter()
    kept = []
    for example in examples:
        taken[example.targets] += 1
        if taken[example.targets] <= rarest:
            kept.append(example)
    return kept


@cache
def inputs_by_split() -> dict[str, list[tuple[int, ...]]]:
    """Deal out all inputs to the splits in the order of the hashes of their text."""
    inputs = sorted(product(range(N_SYMBOLS), repeat=INPUT_LENGTH), key=_hash)
    splits, start = {}, 0
    for split, size in SPLIT_SIZES.items():
        splits[split] = inputs[start : start + size]
        start += size
    return splits


def _hash(symbols: tuple[int, ...]) -> str:
    return hashlib.sha256(text_of(symbols).encode()).hexdigest()


def _source(task: ToyTask) -> Source:
    splits = {split: balanced(examples_of(task, inputs)) for split, inputs in inputs_by_split().items()}
    metric = "accuracy" if task.choices else "exact_match"
    return Source("", splits, metric, task.category, format="plain")
