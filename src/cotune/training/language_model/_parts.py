"""Runs that stop in the middle, and others that go on from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.exceptions import InputError
from cotune.training._log import TrainingLog
from cotune.training.language_model._runs import fit_of
from cotune.training.language_model._side_by_side import SideBySideRuns
from cotune.training.learner import Fit
from cotune.training.parts import Part

if TYPE_CHECKING:
    from cotune.training.methods import Attached


class PartRuns(SideBySideRuns):
    """Adds the parts of runs of :class:`cotune.training.parts.PartLearner` to the runs."""

    def check_parts(self) -> None:
        """Check that runs can be parted: the last stage of the method has to be one of all tasks.

        Raises
        ------
        InputError
            If it trains on one task alone.
        """
        stages = self.config.method.stages(1, self.config.training, tuple(sorted(self.tasks)))
        if stages[-1].tasks:
            raise InputError(
                "Tasks in sequence have no part on all tasks that groups could go on from; set order: "
                "together."
            )

    def begin(self, part: Part, leave: Path) -> Fit:
        """Train the beginning of a run, the earlier stages of the method too, and leave where it stands.

        Raises
        ------
        RunError
            If the loss is not finite or explodes.
        """

        def unscored(at: int, attached: Attached, logs: list[TrainingLog]) -> Fit:
            return fit_of({}, logs, run)

        run = replace(self._staged(part, {}), leave=lambda point: point.save(leave))
        (fit,) = self._train([run], part, then=unscored)
        return fit

    def fit_parts(self, parts: Sequence[Part], *, split: str, save_to: Path | None = None) -> list[Fit]:
        """Train parts, ``side_by_side`` in a pass where that gives what separate runs give; score each.

        Raises
        ------
        InputError
            If the parts differ in steps or span.
        RunError
            If a run diverges, or what it goes on from is not there; names it.
        """
        if len({(part.steps, part.span) for part in parts}) > 1:
            raise InputError("Parts that are trained together must have the same steps and the same span.")
        return self._fit_all(parts, split=split, save_to=save_to, most=self.side_by_side)
