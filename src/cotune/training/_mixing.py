from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cotune.exceptions import InputError
from cotune.training._log import TrainingLog
from cotune.training.steps import tell_step

if TYPE_CHECKING:
    from torch import Tensor

    from cotune.models import Encoded
    from cotune.training._loop import OnStep
    from cotune.training.methods import Attached, Stage


class MixingRun:
    """A stage that trains nothing: step by step it sets the weights between the base's and the tuned ones.

    It begins with the weights of the base, and what it was given is what it mixes them with.

    Parameters
    ----------
    attached : Attached
        The base with what a method put on it, as the stage before left it.
    stage : Stage
        Says the shares of the tuned weights, one a step.

    Raises
    ------
    InputError
        If what was put on the base is no linear function of what is trained.
    """

    def __init__(self, attached: Attached, stage: Stage) -> None:
        if attached.mix is None:
            raise InputError("These weights cannot be set between the base's and the tuned ones.")
        self._mix, self._shares = attached.mix, stage.mixes
        self._tuned: Sequence[Tensor] = [value.detach().clone() for value in attached.parts["weights"]]
        self._seconds = 0.0
        self._at(0)

    @property
    def n_steps(self) -> int:
        """Steps of the stage."""
        return len(self._shares)

    def catch_up(self) -> None:
        """Wait for nothing: no step has a loss."""

    @property
    def log(self) -> TrainingLog:
        """What was done: no example was seen."""
        return TrainingLog(losses=(), tokens=0, seconds=self._seconds)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the stage depends on."""
        return {"step": self.step, "seconds": self._seconds, "tuned": [t.to("cpu") for t in self._tuned]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where the stage stood that gave this state."""
        self._tuned = [new.to(old.device) for new, old in zip(state["tuned"], self._tuned, strict=True)]
        self._seconds = state["seconds"]
        self._at(state["step"])

    def run(self, batches: Iterable[Sequence[Encoded]], on_step: OnStep | None = None) -> None:
        """Do the steps that are left, as many as there are batches, which are not looked at.

        Parameters
        ----------
        batches : iterable of sequences of Encoded
            One a step, as of stages that train.
        on_step : callable, optional
            Called after every step; it is told no loss.
        """
        for _, _ in zip(range(self.n_steps - self.step), batches, strict=False):
            start = time.perf_counter()
            self._at(self.step + 1)
            self._seconds += time.perf_counter() - start
            tell_step(self.step, self.n_steps)
            if on_step is not None:
                on_step(self.step, math.nan)

    def _at(self, step: int) -> None:
        self._mix(self._tuned, self._shares[step - 1] if step else 0.0)
        self.step = step
