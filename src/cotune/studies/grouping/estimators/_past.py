"""What adaptive grouping asked and was told so far, to go on from there."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune.affinity import AdaptiveGrouping
from cotune.studies.grouping._runs import FitRun
from cotune.studies.grouping.estimators._base import Array, Memory, Records
from cotune.studies.grouping.estimators._table import told
from cotune.training.learner import Learner, Subset

_FORMAT = 1
"""To be raised when a planner's state comes to mean something else: nobody goes on from an old one then."""


@dataclass
class Past:
    """The rounds a planner has behind it.

    Parameters
    ----------
    batches : list of list of str
        The tasks it knows, in their order, those that came at one time together.
    runs : list of FitRun
        All that it asked for.
    rounds : int
        How many rounds that took.
    state : dict of str to ndarray, or None
        How the planner stood afterwards.
    """

    batches: list[list[str]]
    runs: list[FitRun] = field(default_factory=list)
    rounds: int = 0
    state: dict[str, NDArray[Any]] | None = None

    @property
    def names(self) -> list[str]:
        """The tasks by the planner's numbers."""
        return [name for batch in self.batches for name in batch]

    @property
    def asked(self) -> Counter[Subset]:
        """How often each subset was asked for."""
        return Counter(run.subset for run in self.runs)

    def told(self, runs: Sequence[FitRun], records: Records) -> Array:
        """Return the scores of runs, shape (m, n), by the planner's numbers."""
        return told(self.names, runs, records)

    def note(self, runs: Sequence[FitRun]) -> None:
        """Add a round."""
        self.runs += runs
        self.rounds += 1

    def agrees(self, records: Records) -> bool:
        """Whether the records of the runs are what the planner was told; it passed over those that failed."""
        assert self.state is not None, "only what was kept is compared"
        scores = self.told(self.runs, records)
        done = np.isfinite(scores)
        good = done.sum(1) == [len(run.subset) for run in self.runs]
        run, task = np.nonzero(done[good])
        found = {"run": run, "task": task, "score": scores[good][run, task]}
        return all(np.array_equal(self.state[name], values) for name, values in found.items())

    def save(self, memory: Memory, options: Any, learner: Learner, planner: AdaptiveGrouping) -> None:
        """Keep it, with the planner's state."""
        place = {name: i for i, name in enumerate(self.names)}
        seen = [[place[task] for task in run.subset] for run in self.runs]
        arrays = {
            "tasks": _described(learner, self.names),
            "batches": np.array([len(batch) for batch in self.batches]),
            "rounds": np.array(self.rounds),
            "asked": np.array([task for subset in seen for task in subset], dtype=np.intp),
            "sizes": np.array([len(subset) for subset in seen], dtype=np.intp),
            "seeds": np.array([run.seed for run in self.runs], dtype=np.int64),
        }
        state = {f"planner.{name}": array for name, array in planner.state_dict().items()}
        memory.save(_identity(options, learner), {**arrays, **state})


def recall(
    memory: Memory,
    options: Any,
    learner: Learner,
    batches: Sequence[list[str]],
    fit: Callable[[Subset, int], FitRun],
) -> Past | None:
    """Return what is kept for these options, learner and tasks; None if nothing is.

    Parameters
    ----------
    memory : Memory
        Where it is kept.
    options : plain data
        All that decides what a planner asks besides tasks and scores.
    learner : Learner
        What is trained.
    batches : sequence of list of str
        All tasks by their arrival; those kept may lack the last.
    fit : callable
        Makes the run of a subset and a seed.
    """
    kept = memory.load(_identity(options, learner))
    if kept is None:
        return None
    sizes = kept["batches"].tolist()
    known = [list(batch) for batch in batches[: len(sizes)]]
    past = Past(known, rounds=kept["rounds"].item())
    names = past.names
    if [len(batch) for batch in known] != sizes or not np.array_equal(
        _described(learner, names), kept["tasks"]
    ):
        return None
    members = np.split(kept["asked"], np.cumsum(kept["sizes"])[:-1]) if len(kept["sizes"]) else []
    for member, seed in zip(members, kept["seeds"].tolist(), strict=True):
        past.runs.append(fit(tuple(names[i] for i in member), seed))
    prefix = "planner."
    past.state = {name.removeprefix(prefix): a for name, a in kept.items() if name.startswith(prefix)}
    return past


def _identity(options: Any, learner: Learner) -> str:
    content = json.dumps([_FORMAT, options, learner.fingerprint], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _described(learner: Learner, names: Sequence[str]) -> NDArray[np.str_]:
    return np.array([f"{name} {learner.task_fingerprint(name)}" for name in names])
