"""What is run: a run's identity, its key in the store, and its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from cotune.training.learner import Fit, Learner, Score, Subset


class Run(Protocol):
    """One unit of work, hashable; its fields are all that determines it beside the learner."""

    kind: ClassVar[str]

    @property
    def subset(self) -> Subset:
        """The tasks it looks at."""
        ...


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


AnyRun = FitRun | FeatureRun


def run_key(run: AnyRun, learner: Learner) -> str:
    """Hash everything that determines a run: learner, data of its tasks, subset, seed, options."""
    identity = {
        "kind": run.kind,
        "learner": learner.fingerprint,
        "tasks": {task: learner.task_fingerprint(task) for task in run.subset},
        **asdict(run),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What became of a run.

    Parameters
    ----------
    key : str
        From :func:`run_key`.
    kind : str
        The run's kind.
    identity : mapping
        The run's fields, to read in the store.
    scores : mapping of str to Score
        Of a fit.
    losses : tuple of float
        Training losses of a fit.
    features : ndarray or None
        Of a feature run.
    tokens : int or None
        Training tokens.
    error : str or None
        The sentence a failed run ended with.
    seconds, cpu_seconds : float
        Wall and processor time.
    peak_bytes : int
        Largest resident memory of the process that ran it, up to the run's end.
    """

    key: str
    kind: str
    identity: Mapping[str, Any]
    scores: Mapping[str, Score] = field(default_factory=dict)
    losses: tuple[float, ...] = ()
    features: NDArray[np.float32] | None = None
    tokens: int | None = None
    error: str | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0

    @classmethod
    def of(cls, key: str, run: AnyRun, **outcome: Any) -> RunRecord:
        """Make the record of a run."""
        return cls(key, run.kind, asdict(run), **outcome)

    @classmethod
    def of_fit(cls, key: str, run: AnyRun, fit: Fit, **usage: Any) -> RunRecord:
        """Make the record of a training run."""
        return cls.of(key, run, scores=fit.scores, losses=fit.losses, tokens=fit.tokens, **usage)
