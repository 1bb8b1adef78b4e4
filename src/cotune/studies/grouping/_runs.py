"""The runs of a grouping study: fits on subsets of tasks, and what is measured in place of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cotune.studies.engine import key_of
from cotune.training.learner import Learner, Subset
from cotune.training.parts import Patience


@dataclass(frozen=True, slots=True)
class FitRun:
    """Train on a subset and score its tasks.

    Parameters
    ----------
    subset : tuple of str
        The tasks, sorted.
    seed : int
        The run's seed.
    steps : int
        Optimiser steps of the whole run.
    split : str
        Examples scored on.
    """

    kind: ClassVar[str] = "fit"
    subset: Subset
    seed: int
    steps: int
    split: str

    @property
    def size(self) -> int:
        """Its steps."""
        return self.steps


@dataclass(frozen=True, slots=True)
class VariedRun(FitRun):
    """Train on a subset otherwise than the study's learner does, and score its tasks.

    Parameters
    ----------
    variation : str
        What is another, from :meth:`Variation.text`.
    """

    kind: ClassVar[str] = "varied_fit"
    variation: str


@dataclass(frozen=True, slots=True)
class ConvergedRun(FitRun):
    """Train on a subset until its validation loss stops falling, for ``steps`` at most, and score its tasks.

    Parameters
    ----------
    variation : str
        What is another than the learner's, from :meth:`Variation.text`; empty for nothing.
    patience : Patience
        When it ends.
    """

    kind: ClassVar[str] = "converged_fit"
    variation: str
    patience: Patience


@dataclass(frozen=True, slots=True)
class JointPartRun:
    """Train the beginning of a joint run, and leave where it stands for groups to go on from.

    Parameters
    ----------
    subset : tuple of str
        All tasks, sorted.
    seed : int
        The run's seed.
    steps : int
        Optimiser steps that are done.
    rest : int
        Steps that the whole joint run would have after them.
    variation : str
        What is another than the learner's, from :meth:`Variation.text`; empty for nothing.
    patience : Patience or None
        When it ends by its validation loss; None where it does all its steps.
    """

    kind: ClassVar[str] = "joint_part"
    subset: Subset
    seed: int
    steps: int
    rest: int
    variation: str
    patience: Patience | None = None

    @property
    def size(self) -> int:
        """Its steps."""
        return self.steps


@dataclass(frozen=True, slots=True)
class BranchedRun(FitRun):
    """Go on from a joint part with a group, for the last ``steps`` of its run, and score its tasks.

    Parameters
    ----------
    since : int
        Steps of the group's whole run before them, which the joint part has done.
    joint : JointPartRun
        The joint part.
    patience : Patience or None
        When it ends by its validation loss; None where it does all its steps.
    """

    kind: ClassVar[str] = "branched_fit"
    since: int
    joint: JointPartRun
    patience: Patience | None = None


@dataclass(frozen=True, slots=True)
class FeatureRun:
    """Describe one task by its gradient at the base model.

    Parameters
    ----------
    subset : tuple of str
        The one task.
    seed : int
        Shared by all tasks of a study.
    examples : int
        Examples in each half.
    dimension : int
        Longer gradients are sketched to this length.
    """

    kind: ClassVar[str] = "features"
    subset: Subset
    seed: int
    examples: int
    dimension: int

    @property
    def size(self) -> int:
        """Its examples."""
        return self.examples


@dataclass(frozen=True, slots=True)
class LinearRun:
    """Take one task's margins at the starting point of all runs, and their projected gradients.

    Parameters
    ----------
    subset : tuple of str
        The one task.
    seed : int
        Shared by all tasks of a study.
    examples : int
        Most examples of each split.
    dimension : int
        Longer gradients are projected to this length.
    """

    kind: ClassVar[str] = "linear"
    subset: Subset
    seed: int
    examples: int
    dimension: int

    @property
    def size(self) -> int:
        """Its examples."""
        return self.examples


@dataclass(frozen=True, slots=True)
class LookaheadRun:
    """Train jointly on all tasks, now and then looking what a step on each does to the losses of all.

    Parameters
    ----------
    subset : tuple of str
        All tasks, in the learner's order.
    seed : int
        The run's seed.
    steps : int
        Steps of the joint run.
    every : int
        Steps between measurements.
    """

    kind: ClassVar[str] = "lookahead"
    subset: Subset
    seed: int
    steps: int
    every: int

    @property
    def size(self) -> int:
        """Its steps."""
        return self.steps


GroupingStudyRun = FitRun | JointPartRun | FeatureRun | LinearRun | LookaheadRun


def variation_of(run: GroupingStudyRun) -> str:
    """Return what of a run's training is another than the learner's, as text; empty for nothing."""
    match run:
        case VariedRun() | ConvergedRun() | JointPartRun():
            return run.variation
        case BranchedRun():
            return run.joint.variation
        case _:
            return ""


def measures_affinity(run: GroupingStudyRun) -> bool:
    """Whether a run is of the affinity stage; those of the comparison are scored on test examples."""
    return run.split == "validation" if isinstance(run, FitRun) else not isinstance(run, JointPartRun)


def patience_of(run: GroupingStudyRun) -> Patience | None:
    """Return when a run ends by its validation loss; None where it does all its steps."""
    return run.patience if isinstance(run, ConvergedRun | JointPartRun | BranchedRun) else None


def run_key(run: GroupingStudyRun, learner: Learner) -> str:
    """Hash everything that determines a run: learner, data of its tasks, subset, seed, options."""
    names = run.joint.subset if isinstance(run, BranchedRun) else run.subset
    tasks = {task: learner.task_fingerprint(task) for task in names}
    return key_of(run, learner=learner.fingerprint, tasks=tasks)
