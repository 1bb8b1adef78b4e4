"""Learners that compute once, for all runs, what lies below all that they train."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

from cotune._repr import Brief
from cotune.training.learner import Learner


def layers_below(adapt_from: float, n_layers: int) -> int:
    """Return how many layers are below an adapter.

    Parameters
    ----------
    adapt_from : int or float
        Their number, or the share of all that is below at least.
    n_layers : int
        How many the model has.

    Examples
    --------
    >>> layers_below(0.75, 30), layers_below(0.7, 10), layers_below(12, 30)
    (23, 7, 12)
    """
    if isinstance(adapt_from, int):
        return adapt_from
    return math.ceil(Fraction(str(adapt_from)) * n_layers)  # as it is written: 0.7 times 10 is above 7


@dataclass(frozen=True)
class KeptStates(Brief):
    """What the layers below an adapter make of examples, kept for all runs.

    Parameters
    ----------
    file : str
        What the file of it is called in the folder that runs share.
    n_below, n_layers : int
        Layers below the adapter, and layers in all.
    n_examples, n_tokens : int
        Examples kept, and their tokens, counted one by one.
    n_bytes : int
        What they take.
    n_left_out : int
        Examples there is no room for, which every run computes anew.
    """

    file: str
    n_below: int
    n_layers: int
    n_examples: int
    n_tokens: int
    n_bytes: int
    n_left_out: int

    def stored(self, folder: Path) -> bool:
        """Whether they are in a folder already."""
        return (folder / self.file).is_file()


@runtime_checkable
class StatesLearner(Learner, Protocol):
    """A learner that may have layers below all that it trains."""

    @property
    def kept_states(self) -> KeptStates | None:
        """What is kept of them; None where every layer is trained on."""
        ...
