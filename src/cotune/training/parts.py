"""Parts of runs: the beginning of one that others go on from, and what follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from cotune._repr import Brief
from cotune.training.learner import Fit, Learner, Subset


@dataclass(frozen=True, slots=True)
class Span(Brief):
    """Where in a run the steps lie that are done; warmup and schedule are those of the whole run.

    Parameters
    ----------
    since : int
        Steps of the whole run before them, which another run has done.
    rest : int
        Steps of the whole run after them.
    """

    since: int = 0
    rest: int = 0

    def whole(self, steps: int) -> int:
        """Return the steps of the whole run of which ``steps`` are done."""
        return self.since + steps + self.rest


WHOLE = Span()
"""All steps of a run."""


@dataclass(frozen=True, slots=True)
class Patience(Brief):
    """When a run ends whose validation loss stops falling.

    Parameters
    ----------
    every : int
        Steps between looks at the loss, the mean over tasks; the first is before the first step.
    looks : int
        It ends after so many looks in a row without a new lowest loss.
    """

    every: int
    looks: int


@dataclass(frozen=True, slots=True)
class Part(Brief):
    """Some of the steps of a run on a subset.

    The beginning of a run on all tasks and the rest of one on a group lie on one schedule: at the same share
    of their steps both have the same learning rate, so that nothing jumps where the one goes on from the
    other, and the rest of a run goes on from its own beginning as if it had not been parted.

    Parameters
    ----------
    subset : tuple of str
        The tasks, sorted.
    seed : int
        Decides the run, as of a whole one.
    steps : int
        Optimiser steps that are done, the most of them where there is patience.
    span : Span
        Where in the whole run they lie.
    origin : Path or None
        The folder that an earlier part left, to go on from; None for fresh parameters.
    patience : Patience or None
        When it ends by its validation loss, with the best state kept; None where it does all its steps.
    """

    subset: Subset
    seed: int
    steps: int
    span: Span = WHOLE
    origin: Path | None = None
    patience: Patience | None = None


@runtime_checkable
class PartLearner(Learner, Protocol):
    """A learner that can stop in the middle of a run, and let runs on other subsets go on from there."""

    def check_parts(self) -> None:
        """Check that runs can be parted.

        Raises
        ------
        InputError
            If the method has no steps on all tasks to go on from.
        """
        ...

    def begin(self, part: Part, leave: Path) -> Fit:
        """Train the beginning of a run, and leave where it stands in an existing folder; nothing is scored.

        What is left are the parameters, the optimiser's moments and the state of the random numbers.

        Raises
        ------
        RunError
            If the loss diverges.
        """
        ...

    def fit_parts(self, parts: Sequence[Part], *, split: str, save_to: Path | None = None) -> list[Fit]:
        """Train parts and score the tasks of each, side by side where whole runs would be.

        Parameters
        ----------
        parts : sequence of Part
            Of equal steps and spans.
        split : {"validation", "test"}
            Examples to score on.
        save_to : Path, optional
            An existing folder to write what a single part trained into.

        Raises
        ------
        InputError
            If the parts differ in steps or span.
        RunError
            If a part diverges, or what it goes on from is not there.
        """
        ...
