"""Learners that can be trained otherwise: by other methods of equal size, or from fresh parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from cotune.exceptions import InputError
from cotune.training.learner import Learner, Subset
from cotune.training.methods import Method


@runtime_checkable
class VariedLearner(Learner, Protocol):
    """A learner whose base model can be trained by several methods."""

    @property
    def method(self) -> Method:
        """The method it trains by."""
        ...

    def varied(self, method: Method, *, learning_rate: float | None = None) -> Self:
        """Return the same learner with another method, and another peak learning rate if given.

        Both share what is loaded.

        Raises
        ------
        InputError
            If the learner starts warm, from what its own method has trained.
        """
        ...

    def trainable_parameters(self, subset: Subset) -> int:
        """Count the parameters that a run on a subset trains; loads no weights."""
        ...


@runtime_checkable
class WarmLearner(Learner, Protocol):
    """A learner whose runs may start from what one run on many tasks has trained."""

    @property
    def start(self) -> tuple[Subset, int] | None:
        """The tasks and the steps of that run; None where runs start with fresh parameters."""
        ...

    def has_started(self, folder: Path) -> bool:
        """Whether :meth:`Learner.prepare` finds what that run has trained in a folder."""
        ...

    def cold(self) -> Self:
        """Return the same learner with fresh parameters; a run of it costs what one from the start does.

        Both share what is loaded.
        """
        ...


def match_parameters(method: Method, target: float, count: Callable[[Method], int]) -> Method:
    """Choose a method's size so that it trains as nearly as possible a given number of parameters.

    Parameters
    ----------
    method : Method
        Its option :attr:`Method.sized_by` is what is chosen: the rank of a LoRA, the virtual tokens of a
        prompt or prefix.
    target : float
        The number.
    count : callable
        Counts what a method trains; linear in its size.

    Returns
    -------
    Method

    Raises
    ------
    InputError
        If the method has no such option.
    """
    if method.sized_by is None:
        raise InputError(
            f"The number of parameters that {type(method).__name__.lower()} trains cannot be matched; it can "
            "for lora (by its rank), prefix and prompt (by their virtual tokens)."
        )
    first, second = count(method.resized(1)), count(method.resized(2))
    return method.resized(max(1, 1 + round((target - first) / (second - first))))
