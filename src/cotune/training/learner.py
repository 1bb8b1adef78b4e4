"""The seam between what trains and what decides: learners, what files say of them, and their scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cotune._config import Config
from cotune._repr import Brief
from cotune.tasks import SampleAnswer, Task

Subset: TypeAlias = tuple[str, ...]
"""Names of the tasks trained together, sorted."""


@dataclass(frozen=True, slots=True)
class Score(Brief):
    """f_i(S): how well a model trained on a subset S does on task i.

    Parameters
    ----------
    value : float
        The mean of the metric over the scored examples, in the metric's own units.
    metric : str
        The metric's name.
    higher_is_better : bool
        The metric's direction.
    per_example : tuple of float
        The metric of every scored example, in a fixed order, so that two models can be compared pair by pair.
    """

    value: float
    metric: str
    higher_is_better: bool
    per_example: tuple[float, ...] = field(default=(), repr=False)

    @property
    def utility(self) -> float:
        """The value with its sign turned so that higher is better."""
        return self.value if self.higher_is_better else -self.value

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "value": self.value,
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "per_example": list(self.per_example),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """Read what :meth:`to_dict` wrote."""
        return cls(data["value"], data["metric"], data["higher_is_better"], tuple(data["per_example"]))


@dataclass(frozen=True, slots=True)
class Looks(Brief):
    """What a run that ends by its validation loss saw.

    Parameters
    ----------
    losses : tuple of (int, float)
        Steps done and the validation loss after them.
    kept : int
        The step whose state was kept, that of the lowest loss; 0 where no step helped.
    """

    losses: tuple[tuple[int, float], ...]
    kept: int


@dataclass(frozen=True, slots=True)
class Fit(Brief):
    """What one training run gave.

    Parameters
    ----------
    scores : mapping of str to Score
        f_i(S) for every task i of the subset.
    losses : tuple of float
        Training loss of every step.
    tokens : int or None
        Training tokens, None for a learner without tokens.
    examples : mapping of str to int
        Training examples seen by task; empty for a learner that does not count them.
    replay_losses : tuple of float or None
        Loss of the text replayed in every step, None in a step without; empty for a learner without replay.
    looks : Looks or None
        What a run saw that ended where its validation loss stopped falling; None of any other.
    answers : mapping of str to tuple of SampleAnswer
        By task a few examples as they were answered before and after; of what was saved, by a learner that
        answers.
    """

    scores: Mapping[str, Score]
    losses: tuple[float, ...] = ()
    tokens: int | None = None
    examples: Mapping[str, int] = field(default_factory=dict)
    replay_losses: tuple[float | None, ...] = ()
    looks: Looks | None = None
    answers: Mapping[str, tuple[SampleAnswer, ...]] = field(default_factory=dict)


@runtime_checkable
class Learner(Protocol):
    """Anything that can be trained on a subset of tasks and scored on each of them.

    Language models and function classes are learners; a study asks for nothing else. A learner may also have
    abilities of :class:`FeatureLearner`, :class:`SideBySideLearner`, :class:`LinearisedLearner` and
    :class:`LookaheadLearner`.
    """

    @property
    def tasks(self) -> Sequence[str]:
        """Names of all tasks, in a fixed order."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything but the subset and the seed that determines a score."""
        ...

    def fit_score(self, subset: Subset, seed: int) -> dict[str, Score]:
        """Train on the tasks of ``subset`` and score each of them on validation examples: f_i(S), i in S."""
        ...

    def task_fingerprint(self, task: str) -> str:
        """Hash of the task's own data, so that adding a task leaves the runs of others as they are."""
        ...

    @property
    def families(self) -> Mapping[str, str]:
        """The family each task's author put it in, or "": only to compare groups with."""
        ...

    def check(self) -> Mapping[str, tuple[str, ...]]:
        """Look at all that runs would trip over, before any is trained.

        Returns
        -------
        mapping of str to tuple of str
            By task, a sentence for everything of its data that does not fit the model and is cut or dropped.

        Raises
        ------
        InputError
            If a task cannot be trained on or scored.
        """
        ...

    def prepare(self, folder: Path) -> None:
        """Do once, and store in ``folder``, what all runs share; called again it finds it there."""
        ...

    def expected_tokens(self, subset: Subset, steps: int) -> int | None:
        """Training tokens of a run on the subset, None for a learner without tokens."""
        ...

    def fit(self, subset: Subset, seed: int, *, steps: int, split: str, save_to: Path | None = None) -> Fit:
        """Train for ``steps`` steps and score on ``split``.

        Parameters
        ----------
        subset : tuple of str
            Names of the tasks, sorted.
        seed : int
            Determines the run.
        steps : int
            Optimiser steps of the run, shared by all tasks of the subset.
        split : {"validation", "test"}
            Examples to score on.
        save_to : Path, optional
            An existing folder to write what was trained into.

        Raises
        ------
        RunError
            If the loss diverges.
        """
        ...


class LearnerConfig(Config):
    """Options of a kind of learner."""

    reads_tasks: ClassVar[bool] = True
    """Whether the learner is given the study's tasks; False for one that brings its own."""

    def for_study(self, steps_per_task: int | None, tasks: Sequence[Task]) -> Self:
        """Return the options with what is a share of a study's training counted out.

        Parameters
        ----------
        steps_per_task : int or None
            Steps for each of its tasks of a run that measures affinity; None where there are no such runs.
        tasks : sequence of Task
            The study's tasks.
        """
        return self

    @abstractmethod
    def build(self, tasks: Sequence[Task], base: Path) -> Learner:
        """Make the learner, cheaply: models are loaded when they are first used.

        Parameters
        ----------
        tasks : sequence of Task
            The study's tasks, empty for a learner that brings its own.
        base : Path
            Folder that relative paths start from.
        """


@runtime_checkable
class SeparateLearner(Protocol):
    """A learner whose runs on different sets of tasks have nothing random in common under one seed."""

    @property
    def separate_streams(self) -> Literal[True]:
        """That each set of tasks has a stream of random numbers of its own under a seed."""
        ...


@runtime_checkable
class AnsweringLearner(Protocol):
    """A learner whose adapters can be scored by others, who have to read them as it does."""

    @property
    def reading(self) -> Mapping[str, Any]:
        """Options of the model and of its answers that its scores depend on, as plain JSON types."""
        ...

    def prompt_of(self, task: str, text: str) -> str:
        """Return the prompt of an input, with all tokens that the model reads before it answers."""
        ...


@runtime_checkable
class FeatureLearner(Learner, Protocol):
    """A learner that can describe a task without being trained."""

    def gradient_features(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> NDArray[np.float32]:
        """Mean gradient at the base model over two disjoint halves of the task's training examples.

        Parameters
        ----------
        task : str
            The task.
        examples : int
            Examples in each half, fewer where the task has fewer.
        seed : int
            Must be shared by all tasks that are compared.
        dimension : int
            Longer gradients are sketched to this length.

        Returns
        -------
        ndarray of float32, shape (2, p)
        """
        ...


@runtime_checkable
class LoadingLearner(Learner, Protocol):
    """A learner that its first run would have to wait for."""

    def load(self) -> None:
        """Load what runs need, so that none of them pays for it; called in the process that does them."""
        ...


@runtime_checkable
class SideBySideLearner(Learner, Protocol):
    """A learner that trains many subsets in one pass."""

    @property
    def side_by_side(self) -> int:
        """How many subsets one pass should hold; 1 where separate passes are faster."""
        ...

    def fit_many(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], split: str
    ) -> list[Fit]:
        """Do what separate calls of :meth:`fit` do, up to rounding."""
        ...


@runtime_checkable
class SplitsLearner(Learner, Protocol):
    """A learner that can score what it trained on several splits."""

    def fit_splits(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], splits: Sequence[str]
    ) -> list[list[Fit]]:
        """Train once each what :meth:`fit` would train for every split, and score on all of them.

        Returns
        -------
        list of list of Fit
            For every subset a fit for every split, each with all that was trained.
        """
        ...


@runtime_checkable
class LinearisedLearner(Learner, Protocol):
    """A learner that can tell, to first order, what training would do to every example."""

    @property
    def linear_loss(self) -> Literal["logistic", "squared"]:
        """The loss that margins are fitted by: log(1 + exp(-y h)), or (h - y)^2."""
        ...

    def linearise(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> dict[str, NDArray[np.float32]]:
        """Margins of a task's examples at the starting point of all runs, and their projected gradients.

        Parameters
        ----------
        task : str
            The task.
        examples : int
            Most examples of each split, drawn by the seed.
        seed : int
            Decides the examples, fresh parameters and the projection; must be shared by all tasks that are
            compared.
        dimension : int
            Longer gradients are projected to this length, inner products kept in expectation.

        Returns
        -------
        dict of str to ndarray of float32
            The fields of :class:`cotune.affinity.Linearised`: ``train_gradients`` of shape (a, d) and
            ``train_margins`` of shape (a,) of training examples, ``eval_gradients`` (b, d) and
            ``eval_margins`` (b,) of validation examples; under the squared loss also ``train_targets`` (a,)
            and ``eval_targets`` (b,).
        """
        ...


@runtime_checkable
class LookaheadLearner(Learner, Protocol):
    """A learner that can look one step ahead: what a step on one task does to the loss of another."""

    def lookahead(
        self, seed: int, *, steps: int, every: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure, along one joint run on all tasks, every task's loss before and after a step on each task.

        Parameters
        ----------
        seed : int
            Determines the run.
        steps : int
            Steps of the joint run.
        every : int
            A measurement is made before every so manieth step, the first included.

        Returns
        -------
        before : ndarray of shape (t, n)
            Loss of every task on a batch of its own at each of the t = ceil(steps / every) measurements.
        after : ndarray of shape (t, n, n)
            ``after[t, i, j]``: loss of task i on the same batch after a step on task j's batch.
        """
        ...


class Timing(Protocol):
    """Processor seconds of what runs do, told by a probe of a few batches."""

    kept_bytes: int
    """Disk that what a run trains takes, where it is kept."""
    below: float
    """Those of all that is computed once in the layers below all that is trained; 0 without such."""

    def training(self, subset: Subset, steps: int, *, earlier: bool = True) -> float:
        """Return those of a run's training; ``earlier`` says whether of stages before the last too."""
        ...

    def scoring(self, task: str, split: str) -> float:
        """Return those of scoring a task."""
        ...

    def sampling(self, task: str) -> float:
        """Return those of the answers to a few examples of a task that are kept with a model."""
        ...

    def looking(self, task: str) -> float:
        """Return those of the loss on a task's validation examples."""
        ...

    def reading(self, task: str) -> float:
        """Return those of the loss on a batch of a task alone."""
        ...


@runtime_checkable
class TimedLearner(Learner, Protocol):
    """A learner that can tell what its runs take without doing one."""

    def timing(self) -> Timing:
        """Measure a few batches; what is loaded for it stays loaded."""
        ...
