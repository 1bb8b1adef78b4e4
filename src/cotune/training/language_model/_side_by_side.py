"""Many runs of LoRA in one pass over the base they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from cotune.exceptions import RunError
from cotune.training.batches import TaskBatch
from cotune.training.language_model._runs import LanguageModelRuns
from cotune.training.learner import Fit, Subset
from cotune.training.parts import Part
from cotune.training.side_by_side import Trial, passes
from cotune.training.stages import StagedRun, trains_side_by_side
from cotune.training.steps import listening
from cotune.training.timing import clock

if TYPE_CHECKING:
    from cotune.training.methods import Attached, Stage

_FEWEST, _MOST = 4, 16
"""LoRAs in a pass: fewer save next to nothing; of more, one that diverges costs too many others theirs."""
_TRIED_STEPS, _ROUNDS = 2, 2
"""Steps that a trial times after a first one, and how often both ways take turns; the faster round counts."""


def decided_by_trial(device: str) -> bool:
    """Whether a kind of device has to show that runs side by side are faster; processors are known."""
    return device != "cpu"


class SideBySideRuns(LanguageModelRuns):
    """Adds the passes of :class:`cotune.training.learner.SideBySideLearner` to the runs."""

    @property
    def side_by_side(self) -> int:
        """How many LoRAs one pass may hold: by default as many as fill it by their steps.

        A step of few tokens pays mostly for reading the base's weights, which a pass does once for all; one
        that fills a pass alone gains nothing by company. On a processor fewer than 4 save next to nothing; an
        accelerator that is given them tries first whether it is faster so, see :attr:`width`.
        """
        if not trains_side_by_side(self.config.method, self.config.training):
            return 1
        if self.config.side_by_side is not None:
            return self.config.side_by_side
        from cotune.models.precision import default_device
        from cotune.training._objective import pass_tokens

        training, device = self.config.training, default_device()
        lengths = [len(encoded) for task in self.tasks for encoded in self._data.encoded(task, "train")]
        room = pass_tokens(device, training) / (training.batch_size * float(np.mean(lengths)))
        return min(_MOST, int(room)) if room >= (2 if decided_by_trial(device) else _FEWEST) else 1

    @cached_property
    def width(self) -> int:
        """How many LoRAs one pass holds where the model is: as many as it may, unless a trial says one."""
        most = self.side_by_side
        if most == 1 or self.config.side_by_side is not None or not decided_by_trial(self.model.device.type):
            return most
        from cotune.models.memory import tell

        try:
            trial = self.trial(most)
        except RunError as error:  # the runs will tell what it is about
            tell(f"LoRAs are trained one at a time: side by side they could not be tried. {error}")
            return 1
        tell(str(trial))
        return trial.width

    def trial(self, models: int) -> Trial:
        """Do a few steps of so many LoRAs in one pass and of one alone, each way in turn, and time them.

        The device is waited for before and after the steps that count, not within.
        """
        import torch

        cuda = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(cuda), listening(lambda step, steps: None):
            rounds = [(self._timed(models), self._timed(1)) for _ in range(_ROUNDS)]
        together, alone = (min(seconds) for seconds in zip(*rounds, strict=True))
        return Trial(self.model.device.type, models, together, models * alone)

    @cached_property
    def probed(self) -> Subset:
        """Two tasks whose examples are neither long nor short."""
        by_length = sorted(self.tasks, key=lambda task: self._data.mean_length(task, "train"))
        middle = len(by_length) // 2
        return tuple(sorted(by_length[max(middle - 1, 0) : middle + 1]))

    def _timed(self, models: int) -> float:
        """Return the seconds of a step of so many LoRAs in one pass."""
        marks: list[float] = []

        def batches(attached: Attached, stage: Stage, *, first: bool, seed: int) -> Iterator[TaskBatch]:
            for at, batch in enumerate(self._batches(self.probed, seed, attached, stage)):
                if first and at in (1, 1 + _TRIED_STEPS):
                    marks.append(clock(self.model.device.type))
                if len(marks) == 2:
                    raise _EnoughError
                yield batch

        runs = [
            StagedRun(
                "A trial of runs side by side",
                self.probed,
                partial(self.attached_method.attach, self.model, self.probed),
                partial(batches, first=at == 0, seed=at),
            )
            for at in range(models)
        ]
        steps = 2 + _TRIED_STEPS
        with suppress(_EnoughError):
            self._train(runs, Part(self.probed, 0, steps), then=lambda *_: None, most=models)
        begin, end = marks
        return (end - begin) / _TRIED_STEPS

    def fit_many(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], split: str
    ) -> list[Fit]:
        """Train many subsets, :attr:`width` in a pass where that gives what separate runs give.

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
        width = self.width if len(subsets) > 1 else 1
        for part in passes(len(subsets), len(seeds), steps, width):
            runs = [Part(subsets[run], seeds[run], steps[run]) for run in part]
            fits = self._fit_splits(runs, splits=splits, most=len(part))
            done.update(zip(part, fits, strict=True))
        return [done[run] for run in range(len(subsets))]


class _EnoughError(Exception):
    """A trial has seen what it wanted."""
