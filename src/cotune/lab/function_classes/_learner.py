from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cotune._config import did_you_mean
from cotune.exceptions import InputError
from cotune.lab.function_classes._laws import FUNCTION_CLASSES
from cotune.lab.function_classes._settings import FunctionClassSettings
from cotune.tasks import Task
from cotune.training.learner import Fit, LearnerConfig, Score, Subset

if TYPE_CHECKING:
    from cotune.lab.function_classes._runs import CopyTrainer, TrainedCopy

_FORMAT = 1
"""Raised whenever the same configuration would give other results, so that no stored run is mistaken."""

_SPLITS = ("validation", "test")


class FunctionClassConfig(LearnerConfig, FunctionClassSettings):
    """Function classes learned in context by small transformers: Appendix B.1 of Li et al. (AdaGroup).

    One model is trained on all classes; every run starts from a copy of it.
    """

    reads_tasks: ClassVar[bool] = False

    def build(self, tasks: Sequence[Task] = (), base: Path = Path()) -> FunctionClassLearner:
        """Make the learner, which brings its own tasks and reads no files; both arguments are ignored."""
        return FunctionClassLearner(self)


class FunctionClassLearner:
    """Transformers that learn function classes in context, many of them in one pass.

    A run copies the base model, which was trained on all classes, trains it on the classes of a subset and
    scores it on each of them by its squared error, averaged over the positions of a prompt and over prompts
    (Section 5.1 and Appendix B.1 of Li et al., AdaGroup). The number of threads is the caller's to set.

    Parameters
    ----------
    config : FunctionClassConfig, optional
        The classes, the model and the recipe.
    """

    def __init__(self, config: FunctionClassConfig | None = None) -> None:
        self.config = config or FunctionClassConfig()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the function classes."""
        return self.config.classes

    @property
    def families(self) -> Mapping[str, str]:
        """The type of function of every class: "linear", "tree" or "relu"."""
        return {name: FUNCTION_CLASSES[name].family for name in self.tasks}

    @property
    def side_by_side(self) -> int:
        """How many subsets one pass should hold."""
        return self.config.side_by_side

    @cached_property
    def _runner(self) -> CopyTrainer:
        from cotune.lab.function_classes._runs import CopyTrainer

        return CopyTrainer(self.config)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the configuration, apart from how many models a pass holds."""
        recipe = self.config.model_dump(mode="json", exclude={"side_by_side"})
        return _hash({"function_classes": recipe, "format": _FORMAT})

    def task_fingerprint(self, task: str) -> str:
        """Hash of the function class's law."""
        self._check_subset((task,))
        return _hash({"law": repr(FUNCTION_CLASSES[task]), "format": _FORMAT})

    def check(self) -> dict[str, tuple[str, ...]]:
        """Return no notes: prompts are drawn to fit the model."""
        return dict.fromkeys(self.tasks, ())

    def expected_tokens(self, subset: Subset, steps: int) -> None:
        """Return None: the model reads numbers, not tokens."""

    def prepare(self, folder: Path) -> None:
        """Train the base model and store it, or load it where an equal learner has stored it already.

        Without this call it is trained when it is first needed, and kept in memory.

        Parameters
        ----------
        folder : Path
            Holds ``base-<fingerprint>.safetensors``; made where it does not exist.

        Raises
        ------
        InputError
            If the stored file cannot be read as this model.
        """
        self._runner.store_base(folder / f"base-{self.fingerprint}.safetensors")

    def fit_score(self, subset: Subset, seed: int, steps: int | None = None) -> dict[str, Score]:
        """Train on a subset and score each of its classes on validation prompts.

        Parameters
        ----------
        subset : tuple of str
            Names of function classes, in any order.
        seed : int
            With the subset, determines the training prompts.
        steps : int, optional
            Training steps, the configuration's by default.

        Returns
        -------
        dict of str to Score
            Metric "mse", lower is better; the examples are the prompts.

        Raises
        ------
        InputError
            If the subset is empty, names a class twice or one the learner does not have, or ``steps`` < 1.
        RunError
            If the loss diverges; names the subset and the step.
        """
        return self.fit_score_many([subset], [seed], steps)[0]

    def fit_score_many(
        self, subsets: Sequence[Subset], seeds: Sequence[int], steps: int | None = None
    ) -> list[dict[str, Score]]:
        """Do what separate calls of :meth:`fit_score` do, up to rounding, in less time."""
        errors = self.squared_errors(subsets, seeds, steps=steps)
        return [{name: _score(e) for name, e in of_run.items()} for of_run in errors]

    def squared_errors(
        self,
        subsets: Sequence[Subset],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        split: str = "validation",
    ) -> list[dict[str, NDArray[np.float64]]]:
        """Train on every subset and return the errors that its scores average.

        Parameters
        ----------
        subsets : sequence of tuple of str
            Names of function classes.
        seeds : sequence of int
            A seed for each subset.
        steps : int, optional
            Training steps of every run, the configuration's by default.
        split : {"validation", "test"}
            Prompts to score on.

        Returns
        -------
        list of dict of str to ndarray of shape (eval_prompts, points)
            By subset and class, the squared error of every prediction; column i has seen i examples.
        """
        n_steps = self.config.steps if steps is None else steps
        runs = self._run(subsets, seeds, [n_steps] * len(subsets), split)
        return [run.errors for run in runs]

    def fit(self, subset: Subset, seed: int, *, steps: int, split: str, save_to: Path | None = None) -> Fit:
        """Train for ``steps`` steps and score on ``split``; see :class:`cotune.training.learner.Learner`.

        ``save_to`` receives the weights as ``model.safetensors``.
        """
        from cotune.lab.function_classes._storage import save

        (run,) = self._run([subset], [seed], [steps], split)
        if save_to is not None:
            save(run.model, save_to / "model.safetensors")
        return _fit(run)

    def fit_many(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], split: str
    ) -> list[Fit]:
        """Train many subsets, ``side_by_side`` in a pass.

        See :class:`cotune.training.learner.SideBySideLearner`.

        A run that diverges ends the call with an error that names it; the others can be repeated without it.
        """
        return [_fit(run) for run in self._run(subsets, seeds, steps, split)]

    @property
    def linear_loss(self) -> Literal["squared"]:
        """The loss that predictions are fitted by."""
        return "squared"

    def linearise(
        self, task: str, *, examples: int, seed: int, dimension: int
    ) -> dict[str, NDArray[np.float32]]:
        """Linearise predictions at the base model; see :class:`cotune.training.learner.LinearisedLearner`.

        An example is a prompt and gives a margin for each of its points, the value predicted there, whose
        target is the function's value.

        Raises
        ------
        InputError
            If the learner does not have the class, or ``examples`` or ``dimension`` is less than 1.
        """
        self._check_subset((task,))
        for name, value in (("examples", examples), ("dimension", dimension)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}.")
        return self._runner.linearise(task, examples=examples, seed=seed, dimension=dimension)

    def lookahead(
        self, seed: int, *, steps: int, every: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Errors of all classes before and after a step on each, along one run from the base model.

        A step is one of the run's own optimiser, at its learning rate and with its moments; see
        :class:`cotune.training.learner.LookaheadLearner`.

        Raises
        ------
        InputError
            If ``steps`` or ``every`` is less than 1.
        RunError
            If an error is not finite.
        """
        for name, value in (("steps", steps), ("every", every)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}.")
        return self._runner.look_ahead(seed, steps=steps, every=every)

    def _run(
        self, subsets: Sequence[Subset], seeds: Sequence[int], steps: Sequence[int], split: str
    ) -> list[TrainedCopy]:
        if split not in _SPLITS:
            raise InputError(f"split must be one of: {', '.join(_SPLITS)}; got {split!r}.")
        for subset in subsets:
            self._check_subset(subset)
        for n_steps in steps:
            if n_steps < 1:
                raise InputError(f"steps must be at least 1, got {n_steps}.")
        return self._runner.run(subsets, seeds, steps, split)

    def _check_subset(self, subset: Subset) -> None:
        for name in subset:
            if name not in self.tasks:
                hint = did_you_mean(name, self.tasks)
                raise InputError(
                    f"A subset must hold function classes of {', '.join(self.tasks)}; got {name!r}{hint}."
                )
        if not subset or len(set(subset)) < len(subset):
            raise InputError(f"A subset must hold at least one class, and none twice; got {list(subset)}.")


def _fit(run: TrainedCopy) -> Fit:
    return Fit({name: _score(errors) for name, errors in run.errors.items()}, run.losses)


def _score(errors: NDArray[np.float64]) -> Score:
    return Score(float(errors.mean()), "mse", False, tuple(errors.mean(1).tolist()))


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
