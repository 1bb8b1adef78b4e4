"""Many runs of LoRA in one pass over the base they share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cotune.training.language_model._runs import LanguageModelRuns
from cotune.training.learner import Fit, Subset
from cotune.training.parts import Part
from cotune.training.side_by_side import passes
from cotune.training.stages import trains_side_by_side

_FEWEST, _MOST = 4, 16
"""LoRAs in a pass: fewer save next to nothing; of more, one that diverges costs too many others theirs."""


class SideBySideRuns(LanguageModelRuns):
    """Adds the passes of :class:`cotune.training.learner.SideBySideLearner` to the runs."""

    @property
    def side_by_side(self) -> int:
        """How many LoRAs one pass should hold: by default as many as fill it by their steps, at least 4.

        A step of few tokens pays mostly for reading the base's weights, which a pass does once for all; one
        that fills a pass alone gains nothing by company.
        """
        if not trains_side_by_side(self.config.method, self.config.training):
            return 1
        if self.config.side_by_side is not None:
            return self.config.side_by_side
        from cotune.models.precision import default_device
        from cotune.training._objective import pass_tokens

        training = self.config.training
        lengths = [len(encoded) for task in self.tasks for encoded in self._data.encoded(task, "train")]
        room = pass_tokens(default_device(), training) / (training.batch_size * float(np.mean(lengths)))
        return min(_MOST, int(room)) if room >= _FEWEST else 1

    def fit_many(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], split: str
    ) -> list[Fit]:
        """Train many subsets, ``side_by_side`` in a pass where that gives what separate runs give.

        Where it does not, they are run one by one; see :func:`cotune.training.stages.trains_side_by_side`.

        Raises
        ------
        InputError
            If there is not a seed and a number of steps for every subset.
        RunError
            If a run diverges; names it. The others can be repeated without it.
        """
        fits = self.fit_splits(subsets, seeds, steps=steps, splits=(split,))
        return [of_split for (of_split,) in fits]

    def fit_splits(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], splits: Sequence[str]
    ) -> list[list[Fit]]:
        """Train as :meth:`fit_many` does, once, and score on every split; see SplitsLearner."""
        done: dict[int, list[Fit]] = {}
        for part in passes(len(subsets), len(seeds), steps, self.side_by_side):
            runs = [Part(subsets[run], seeds[run], steps[run]) for run in part]
            fits = self._fit_splits(runs, splits=splits, most=len(part))
            done.update(zip(part, fits, strict=True))
        return [done[run] for run in range(len(subsets))]
