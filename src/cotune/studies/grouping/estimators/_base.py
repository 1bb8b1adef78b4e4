from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cotune._config import Config
from cotune.affinity import Affinity
from cotune.studies._runs import RunRecord
from cotune.studies.grouping._runs import AnyRun
from cotune.training.learner import Learner


@dataclass(frozen=True)
class Estimate:
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
    scores : ndarray of shape (m, n) or None
        Where Eq. (6) was averaged over runs, their scores, higher is better, NaN where a task was not in the
        run: what the stability of the groups is judged from.
    notes : tuple of str
        What the reader must know, one sentence each.
    """

    affinity: Affinity
    estimator: str
    unit: str
    single: Mapping[str, float] = field(default_factory=dict)
    scores: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


class Estimator(Config):
    """How affinity is estimated; its fields are the options in the study file."""

    scale: ClassVar[str] = "row_zscore"
    """How its rows are put on one scale before grouping: scores of tasks have units of their own."""

    @abstractmethod
    def runs(self, learner: Learner, seed: int) -> Sequence[AnyRun]:
        """Return the runs the estimate needs, in the order to do them.

        Raises
        ------
        InputError
            If the options do not fit the number of tasks, or the learner lacks an ability.
        """

    @abstractmethod
    def estimate(self, learner: Learner, records: Mapping[AnyRun, RunRecord]) -> Estimate:
        """Estimate affinity from the records of the runs; failed ones carry an error and no result."""
