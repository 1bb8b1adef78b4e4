"""What an estimator is, what it asks for, what it gives, and what it may remember between rounds."""

from __future__ import annotations

import io
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cotune._config import Config
from cotune._repr import Brief
from cotune._seals import file_damage, sealed_file
from cotune.affinity import Affinity, TransferF1
from cotune.studies.engine import RunRecord
from cotune.studies.grouping._found import FoundGroups
from cotune.studies.grouping._runs import GroupingStudyRun
from cotune.training.learner import Learner
from cotune.training.proxy import Proxy

if TYPE_CHECKING:
    from cotune.affinity.gain_predictors import PredictorMaker


@dataclass(frozen=True)
class Memory(Brief):
    """What an estimator worked out from the runs done so far, to go on from there without doing it again.

    Nothing is lost with it: the same runs lead to the same again.

    Parameters
    ----------
    file : Path
        An archive of arrays.
    writable : bool
        Whether anything is written down.
    """

    file: Path
    writable: bool = True

    def load(self, identity: str) -> dict[str, NDArray[Any]] | None:
        """Return what was saved under the same identity; None if that is nothing, or cannot be read."""
        if file_damage(self.file):
            return None
        try:
            with np.load(self.file) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        return arrays if str(arrays.pop("identity", "")) == identity else None

    def save(self, identity: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace what was saved."""
        if self.writable:
            content = io.BytesIO()
            np.savez(content, allow_pickle=False, identity=np.array(identity), **arrays)
            with sealed_file(self.file) as fresh:
                fresh.write_bytes(content.getvalue())


Array: TypeAlias = NDArray[np.float64]
Records: TypeAlias = Mapping[GroupingStudyRun, RunRecord]
Predict: TypeAlias = Callable[[NDArray[np.bool_]], Array]
"""Subsets in, shape (q, n); predicted scores out, NaN outside a subset and where nothing can be said."""


@dataclass(frozen=True)
class Trust(Brief):
    """How far predicted scores agree with trained ones.

    Parameters
    ----------
    measure : str
        What is measured, in words.
    by_task : mapping of str to float
        Its value for every task, NaN where it cannot be told.
    """

    measure: str
    by_task: Mapping[str, float]


@dataclass(frozen=True)
class NegativeTransferScore(Brief):
    """How well negative transfer was predicted on subsets that had no part in the prediction.

    Parameters
    ----------
    predictor : str
        What predicted it, in words.
    by_size : tuple of TransferF1
        By size of the subsets.
    """

    predictor: str
    by_size: tuple[TransferF1, ...]


@dataclass(frozen=True)
class Estimate(Brief):
    """An affinity with the words a report needs for it.

    Parameters
    ----------
    affinity : Affinity
        The matrix with its evidence.
    estimator : str
        Name of the estimator with its size, in words.
    unit : str
        What one entry is, in words.
    single : mapping of str to float
        Score of each task trained alone, higher is better; empty where the estimator trains none.
    gains : Affinity or None
        Scores in company less the score alone (Fig. 1), where both are known.
    scores : ndarray of shape (m, n) or None
        Where Eq. (6) was averaged over runs, their scores, higher is better, NaN where a task was not in the
        run: what the stability of the groups is judged from.
    predict : callable or None
        Predicts the scores of subsets, where the estimate can.
    trust : Trust or None
        How far predictions can be trusted, where some were compared with training.
    negative_transfer : NegativeTransferScore or None
        How well negative transfer was predicted.
    found : FoundGroups or None
        Groups, where the estimator finds them itself.
    gain_predictors : tuple of callable
        What makes predictors of gains that know more than the scores of the runs.
    notes : tuple of str
        What the reader must know, one sentence each.
    """

    affinity: Affinity
    estimator: str
    unit: str
    single: Mapping[str, float] = field(default_factory=dict)
    gains: Affinity | None = None
    scores: Array | None = None
    predict: Predict | None = None
    trust: Trust | None = None
    negative_transfer: NegativeTransferScore | None = None
    found: FoundGroups | None = None
    gain_predictors: tuple[PredictorMaker, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Round(Brief):
    """Runs that can be done at the same time.

    Parameters
    ----------
    runs : sequence of runs
        In the order to do them.
    note : str
        What is known before they are done, in one sentence; may be empty.
    """

    runs: Sequence[GroupingStudyRun]
    note: str = ""


Rounds: TypeAlias = Generator[Round, Records, Estimate]
"""Yields the runs of a round, is sent their records, returns the estimate."""


class Estimator(Config):
    """How affinity is estimated; its fields are the options in the study file."""

    scale: ClassVar[str] = "row_zscore"
    """How its rows are put on one scale before grouping: scores of tasks have units of their own."""
    finds_groups: ClassVar[bool] = False
    """Whether it finds the groups itself, and their number."""
    most_groups: ClassVar[str] = "k_max"
    """Where it does, the option of its own that bounds their number."""

    proxy: Proxy | None = None
    """{adapt_from: 0.75} or {model: ...}: affinity is estimated with the adapter on the upper layers alone,
    or on another model, and the groups are trained and compared by the learner; null for the learner."""

    @property
    def task_steps(self) -> int | None:
        """Training steps of a run for each task of its subset; None where it trains no subsets."""
        return None

    @abstractmethod
    def runs(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """Return the runs the estimate needs, in the order to do them; where results decide, as many at most.

        Raises
        ------
        InputError
            If the options do not fit the number of tasks, or the learner lacks an ability.
        """

    def for_objective(self, by_gain: bool) -> Estimator:
        """Return it with what it leaves open settled: the runs for groups by gain, or by density."""
        return self

    def planned(self, learner: Learner, seed: int) -> Sequence[GroupingStudyRun]:
        """Return all runs that a plan counts."""
        return self.runs(learner, seed)

    def rounds(
        self, learner: Learner, seed: int, arrivals: Sequence[Sequence[str]], memory: Memory | None = None
    ) -> Rounds:
        """Ask for runs round by round; by default for all at once.

        Parameters
        ----------
        learner : Learner
            What is trained.
        seed : int
            The study's.
        arrivals : sequence of sequence of str
            All tasks, in the order in which they came into the study; those that came at one time together.
        memory : Memory, optional
            Where what was worked out between rounds is kept, by estimators for which that takes long.

        Yields
        ------
        Round
            The next runs; their records are to be sent. Failed ones carry an error and no result.

        Returns
        -------
        Estimate
        """
        records = yield Round(self.runs(learner, seed))
        return self.estimate(learner, records, seed)

    def estimate(self, learner: Learner, records: Records, seed: int) -> Estimate:
        """Estimate affinity from the records of all runs; for estimators of a single round.

        Raises
        ------
        RunError
            If too many runs failed.
        """
        raise NotImplementedError(f"{type(self).__name__} estimates in its rounds.")

    def plan_notes(self, learner: Learner) -> tuple[str, ...]:
        """Say what a plan assumes about the runs, one sentence each."""
        return ()
