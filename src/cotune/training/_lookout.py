"""Training until the validation loss stops falling, with the best state brought back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from cotune.exceptions import RunError
from cotune.models import Encoded
from cotune.training._branch_point import BranchPoint, start_from
from cotune.training.learner import Looks
from cotune.training.parts import Patience

if TYPE_CHECKING:
    import torch

    from cotune.training._loop import TrainingRun
    from cotune.training.methods import Attached


class Lookout:
    """Looks now and then at a run's validation loss, and ends it where that stops falling.

    Parameters
    ----------
    patience : Patience
        When it looks, and when it ends.
    loss : callable
        The loss on validation examples of what is trained.
    """

    def __init__(self, patience: Patience, loss: Callable[[Attached], float]) -> None:
        self._patience, self._loss = patience, loss
        self._losses: list[tuple[int, float]] = []
        self._best: BranchPoint | None = None
        self._kept = 0

    @property
    def looks(self) -> Looks:
        """What was seen."""
        return Looks(tuple(self._losses), self._kept)

    @property
    def best(self) -> BranchPoint:
        """Where the run stood at its best."""
        assert self._best is not None, "there was a look before the first step"
        return self._best

    def train(
        self,
        attached: Attached,
        run: TrainingRun,
        batches: Iterator[Sequence[Encoded]],
        device: torch.device,
        *,
        moments: bool,
    ) -> None:
        """Do the steps of a run as long as they help, and bring the parameters back to where it was best.

        ``moments`` says whether others go on from there, so that the optimiser's have to be kept as well.

        Raises
        ------
        RunError
            If a loss is not finite.
        """
        look = partial(self._look, attached, run, device, moments)
        look()
        lowest, since = self._losses[0][1], 0
        while run.step < run.n_steps and since < self._patience.looks:
            run.run(islice(batches, self._patience.every))
            loss = look()
            lowest, since = (loss, 0) if loss < lowest else (lowest, since + 1)
        start_from(attached, self.best.values)

    def _look(self, attached: Attached, run: TrainingRun, device: torch.device, moments: bool) -> float:
        attached.module.eval()
        loss = self._loss(attached)
        if not math.isfinite(loss):
            raise RunError(f"The validation loss became {loss} after step {run.step} of {run.n_steps}.")
        if not self._losses or loss < min(seen for _, seen in self._losses):
            self._best, self._kept = BranchPoint.of(attached, run, device, moments=moments), run.step
        self._losses.append((run.step, loss))
        return loss
