"""What took long to work out of many runs, kept in the study's folder for the next look at the same runs.

It is kept under the hash of all that decides it, the scores among that, and has a checksum like every
artefact: what is of other runs or options, or not what was written, is worked out anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune import __version__
from cotune._seals import forget_file
from cotune.findings.grouping import Interval
from cotune.grouping import Stability
from cotune.studies.engine import MANY
from cotune.studies.grouping._gain import GainGroups
from cotune.studies.grouping._groups import OtherGroups
from cotune.studies.grouping.estimators import Memory

if TYPE_CHECKING:
    from cotune.affinity import TaskGains

Array = NDArray[np.float64]

_FORMAT = 1
_STEM = "groups-"
_INTERVALS = ("over_alone", "over_together")
_PLAIN = ("together", "bound", "exact", "undecided")


@dataclass
class Kept:
    """What is kept of a study.

    Parameters
    ----------
    folder : Path
        What the study's runs share.
    writable : bool
        Whether anything is written.
    """

    folder: Path
    writable: bool
    _used: set[str] = field(default_factory=set)

    def gain_groups(
        self, runs: Array, options: Mapping[str, Any], make: Callable[[], GainGroups]
    ) -> GainGroups:
        """Return groups by predicted gain.

        Parameters
        ----------
        runs : ndarray of shape (m, n)
            The scores that they follow from, NaN where a task was not in the run.
        options : mapping of str to Any
            As plain JSON types, what else they follow from.
        make : callable
            Works them out.
        """
        from cotune.affinity import task_gains

        identity = _identity("gain", options, runs)
        memory = self._memory(len(runs), identity)
        known = None if memory is None else memory.load(identity)
        if known is not None:
            return _gain_of(known, task_gains(~np.isnan(runs), runs, options["unit"]))
        found = make()
        if memory is not None:
            memory.save(identity, _arrays_of(found))
        return found

    def stability(
        self,
        scores: Array,
        labels: NDArray[np.intp],
        options: Mapping[str, Any],
        make: Callable[[], Stability | None],
    ) -> Stability | None:
        """Return how often groups came back over resamples of the runs; see :meth:`gain_groups`."""
        identity = _identity("stability", options, scores, labels)
        memory = self._memory(len(scores), identity)
        known = None if memory is None else memory.load(identity)
        if known is not None:
            return _stability_of(known) if known else None
        found = make()
        if memory is not None:
            names = [] if found is None else [of.name for of in fields(Stability)]
            memory.save(identity, {name: np.asarray(getattr(found, name)) for name in names})
        return found

    def others(
        self, matrix: Array, options: Mapping[str, Any], runs: int, make: Callable[[], Sequence[OtherGroups]]
    ) -> tuple[OtherGroups, ...]:
        """Return the groups that other groupers found in a matrix of many runs; see :meth:`gain_groups`."""
        identity = _identity("others", options, matrix)
        memory = self._memory(runs, identity)
        known = None if memory is None else memory.load(identity)
        if known is not None:
            told = json.loads(str(known["told"]))
            return tuple(OtherGroups(name, tuple(labels), value) for name, labels, value in told)
        found = tuple(make())
        if memory is not None:
            told = [[one.name, list(one.labels), one.objective] for one in found]
            memory.save(identity, {"told": np.array(json.dumps(told))})
        return found

    def tidy(self) -> None:
        """Take away what was kept of other runs, or under other options."""
        for file in self.folder.glob(f"{_STEM}*.npz") if self.writable else ():
            if file.name not in self._used:
                forget_file(file)

    def _memory(self, runs: int, identity: str) -> Memory | None:
        if runs < MANY:
            return None
        name = f"{_STEM}{identity[:32]}.npz"
        self._used.add(name)
        return Memory(self.folder / name, writable=self.writable)


def _identity(what: str, options: Mapping[str, Any], *arrays: NDArray[Any]) -> str:
    told = [what, _FORMAT, __version__, dict(options), [[str(a.dtype), a.shape] for a in arrays]]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays_of(groups: GainGroups) -> dict[str, NDArray[Any]]:
    """Return groups as arrays, but for what follows at once from the scores."""
    plain = {name: getattr(groups, name) for name in _PLAIN}
    intervals = [*(getattr(groups, name) for name in _INTERVALS), *groups.by_task]
    told = {"plain": plain, "prediction": asdict(groups.prediction)}
    worth: Mapping[str, ArrayLike] = (
        {"worth": groups.worth} if isinstance(groups.worth, np.ndarray) else asdict(groups.worth)
    )
    return {
        "labels": np.array(groups.labels, dtype=np.intp),
        "intervals": np.array([[one.value, one.low, one.high] for one in intervals]),
        "weights": groups.weights,
        "told": np.array(json.dumps(told)),
        **{name: np.asarray(array) for name, array in worth.items()},
    }


def _stability_of(known: Mapping[str, NDArray[Any]]) -> Stability:
    return Stability(
        labels=known["labels"],
        co_assignment=known["co_assignment"],
        confidence=known["confidence"],
        n_clusters=known["n_clusters"],
        skipped=int(known["skipped"]),
    )


def _gain_of(known: Mapping[str, NDArray[Any]], gains: TaskGains) -> GainGroups:
    from cotune.affinity import SizedEffects
    from cotune.affinity.predicted_gain import HeldOut, Prediction

    told = json.loads(str(known["told"]))
    intervals = [Interval(value=v, low=low, high=high) for v, low, high in known["intervals"].tolist()]
    prediction = told["prediction"]
    held_out = tuple(
        HeldOut(held["name"], {int(size): error for size, error in held["error"].items()})
        for held in prediction["held_out_"]
    )
    sizes = tuple(prediction["tested_sizes_"])
    effects = ("effects", "by_size", "own")
    return GainGroups(
        labels=tuple(known["labels"].tolist()),
        over_alone=intervals[0],
        over_together=intervals[1],
        by_task=tuple(intervals[2:]),
        prediction=Prediction(**{**prediction, "held_out_": held_out, "tested_sizes_": sizes}),
        worth=known["worth"] if "worth" in known else SizedEffects(*(known[name] for name in effects)),
        gains=gains,
        weights=known["weights"],
        **told["plain"],
    )
