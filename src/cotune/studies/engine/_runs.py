"""What is run: a run's identity, its key in the store, and its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief
from cotune.training.learner import Score


class Run(Protocol):
    """One unit of work: a frozen dataclass whose fields, with what the study adds, are what determines it."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    kind: ClassVar[str]

    @property
    def size(self) -> int:
        """How long it takes beside other runs of its study; only the order matters."""
        ...


RunT = TypeVar("RunT", bound=Run)


def key_of(run: Run, **determined_by: Any) -> str:
    """Hash everything that determines a run.

    Parameters
    ----------
    run : Run
        Its kind and fields go into the hash.
    **determined_by
        What else does, as plain JSON types: fingerprints of model, recipe and data.
    """
    own = {of.name: getattr(run, of.name) for of in fields(run)}
    identity = {"kind": run.kind, **determined_by, **own}
    # Of ten thousand runs, a copy of everything in all of them takes longer than their hashes.
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=asdict).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RunRecord(Brief):
    """What became of a run.

    Parameters
    ----------
    key : str
        From :func:`key_of`.
    kind : str
        The run's kind.
    identity : mapping
        The run's fields, to read in the store.
    scores : mapping of str to Score
        Scores by task, of runs that give one for each.
    losses : tuple of float
        Training losses.
    arrays : mapping of str to ndarray
        What a run that trains nothing measured, by name; its kind says what is in it.
    payload : mapping or None
        What else the run found, as plain JSON types; its kind says what is in it.
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
    arrays: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    payload: Mapping[str, Any] | None = None
    tokens: int | None = None
    error: str | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0

    @classmethod
    def of(cls, key: str, run: Run, **outcome: Any) -> RunRecord:
        """Make the record of a run."""
        return cls(key, run.kind, asdict(run), **outcome)


def seen(examples: Mapping[str, int], replay_losses: Sequence[float | None]) -> dict[str, Any]:
    """Return what a record says of the data a run saw, and nothing of what there was none of.

    Parameters
    ----------
    examples : mapping of str to int
        Training examples by task, repetitions counted; empty of a learner that does not count them.
    replay_losses : sequence of float or None
        By step, the loss of the text replayed; None in a step without.
    """
    found: dict[str, Any] = {"instructions": dict(examples)} if examples else {}
    if any(loss is not None for loss in replay_losses):
        found["replay_losses"] = list(replay_losses)
    return found
