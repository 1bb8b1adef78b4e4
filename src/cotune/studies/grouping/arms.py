"""The arms of the comparison: ways to spread the same training over adapters (Table 2), and to train them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import PositiveFloat

from cotune._config import Config, parse
from cotune.exceptions import InputError
from cotune.grouping import GROUPERS
from cotune.training.learner import Learner, Subset
from cotune.training.methods import METHODS, Method
from cotune.training.parts import PartLearner, Patience
from cotune.training.varied import VariedLearner, match_parameters

Partition: TypeAlias = list[tuple[str, ...]]
"""Sets of tasks trained together, every task in one."""

Groupings: TypeAlias = Mapping[str, Sequence[int]]
"""The group of every task by who found the groups: "grouped" for the study's own, else a baseline."""

BASELINES = tuple(name for name in GROUPERS if name != "sdp")
"""Other groupers of the same matrix, each with as many groups."""


def groups_of(name: str, tasks: Sequence[str], found: Groupings, seed: int) -> Partition:
    """One adapter for each group that someone found."""
    return _partition(tasks, found[name])


def joint(tasks: Sequence[str], found: Groupings, seed: int) -> Partition:
    """One adapter on all tasks."""
    return [tuple(sorted(tasks))]


def single(tasks: Sequence[str], found: Groupings, seed: int) -> Partition:
    """One adapter for each task."""
    return [(task,) for task in tasks]


def random(tasks: Sequence[str], found: Groupings, seed: int) -> Partition:
    """Draw groups of the same sizes as those found, anew for every seed."""
    shuffled = np.random.default_rng((seed, len(tasks))).permutation(len(tasks))
    return _partition([tasks[i] for i in shuffled], found["grouped"])


def _partition(tasks: Sequence[str], labels: Sequence[int]) -> Partition:
    groups: dict[int, list[str]] = {}
    for task, label in zip(tasks, labels, strict=True):
        groups.setdefault(label, []).append(task)
    return [tuple(sorted(groups[label])) for label in sorted(groups)]


ARMS: dict[str, Callable[[Sequence[str], Groupings, int], Partition]] = {
    "grouped": partial(groups_of, "grouped"),
    "branched": partial(groups_of, "grouped"),
    "joint": joint,
    "single": single,
    "random": random,
    **{name: partial(groups_of, name) for name in BASELINES},
}
"""The names a study file may write under ``comparison.arms``."""

BRANCHED = "branched"
"""The arm whose groups go on from a part trained on all tasks."""

DEFAULT_ARMS = ("grouped", "joint", "single", "random")
"""The arms of a study that names none."""


class Variation(Config):
    """What of the training is another than the learner's own."""

    method: Annotated[Method, METHODS] | None = None
    """What is trained; by default what the learner trains."""
    learning_rate: PositiveFloat | None = None
    """Peak learning rate; by default that of the learner's recipe."""

    @property
    def is_none(self) -> bool:
        """Whether nothing is another."""
        return self.method is None and self.learning_rate is None

    def text(self) -> str:
        """Return all of it as a run keeps it."""
        method = None if self.method is None else METHODS.plain(self.method)
        return json.dumps({"method": method, "learning_rate": self.learning_rate}, sort_keys=True)

    @staticmethod
    def read(text: str) -> Variation:
        """Read what :meth:`text` wrote."""
        given = {key: value for key, value in json.loads(text).items() if value is not None}
        return parse(Variation, given, "a stored run")

    def of(self, learner: Learner) -> Learner:
        """Return the learner with what is another.

        Raises
        ------
        InputError
            If the learner has no methods.
        """
        if self.is_none:
            return learner
        varied = _with_methods(learner)
        return varied.varied(self.method or varied.method, learning_rate=self.learning_rate)

    def matched(self, learner: Learner, partition: Sequence[Subset], target: int) -> Variation:
        """Return it with the method's size chosen so that a partition trains about ``target`` parameters.

        Raises
        ------
        InputError
            If the learner has no methods, or the method no size.
        """
        varied = _with_methods(learner)

        def count(method: Method) -> int:
            return trained_parameters(varied.varied(method), partition)

        found = match_parameters(self.method or varied.method, target, count)
        return Variation(method=found, learning_rate=self.learning_rate)


@dataclass(frozen=True)
class Length:
    """How long the models of a budget are trained.

    Parameters
    ----------
    steps : int
        Steps a task; the most of them where they end by their validation loss.
    every : int
        Steps a task between looks at that; 0 where they do all their steps.
    looks : int
        Looks in a row without a new lowest loss after which they end.
    """

    steps: int
    every: int = 0
    looks: int = 0

    def patience(self, times: int) -> Patience | None:
        """Return when a model ends that takes ``times`` steps for one a task; None where it does them all."""
        return Patience(self.every * times, self.looks) if self.every else None

    def together(self, share: float) -> int:
        """Return how many of the steps a task a branched arm trains on all tasks: the share, 1 at least.

        Whole steps a task, so that the arm takes as many steps in all as any other, whatever its groups.
        """
        return min(max(round(share * self.steps), 1), self.steps - 1)


def check_parts(learner: Learner, variation: Variation, otherwise: str) -> None:
    """Check that groups can go on from what was trained on all tasks, and runs end before their last step.

    Raises
    ------
    InputError
        If the learner cannot stop in the middle of a run; ends in what can be done ``otherwise``.
    """
    varied = variation.of(learner)
    if not isinstance(varied, PartLearner):
        raise InputError(f"This learner cannot stop in the middle of a run; {otherwise}.")
    varied.check_parts()


def _with_methods(learner: Learner) -> VariedLearner:
    if not isinstance(learner, VariedLearner):
        raise InputError(
            "Only a language model can be trained by another method or at another learning rate; take "
            "method, learning_rate and match_parameters away."
        )
    return learner


def trained_parameters(learner: Learner, partition: Sequence[Subset]) -> int:
    """Count the parameters trained for a partition; loads no weights.

    Raises
    ------
    InputError
        If the learner has no methods.
    """
    counting = _with_methods(learner)
    return sum(counting.trainable_parameters(subset) for subset in partition)


def learner_of(learner: Learner, text: str) -> Learner:
    """Return the learner that a run wants, by its variation as text; empty for the learner itself."""
    return Variation.read(text).of(learner) if text else learner
