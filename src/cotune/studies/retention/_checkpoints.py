"""Checkpoints as records keep them, and which are compared: the best, and the first at a target score.

Both are chosen by validation scores; test scores are only reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cotune.evaluation.format_specialisation import ModuleAlignment
from cotune.findings.retention import InContextValue, RetentionCheckpoint, TargetScore
from cotune.studies.retention._design import RateCell
from cotune.tasks import Task, get_metric

RunCheckpoints = Sequence[RetentionCheckpoint]
"""Those of one run, in the order of training."""


@dataclass(frozen=True)
class Selection:
    """Chooses checkpoints by the mean validation score over the targets.

    Parameters
    ----------
    higher_is_better : bool
        The direction of the targets' metric.
    """

    higher_is_better: bool

    @classmethod
    def by(cls, targets: Sequence[Task]) -> Selection:
        """Choose by the metric of some targets, which have one direction."""
        return cls(get_metric(targets[0].metric).higher_is_better)

    def utility(self, checkpoint: RetentionCheckpoint) -> float:
        """Return the mean validation score, its sign turned so that higher is better."""
        return self.turned(float(np.mean([score.validation for score in checkpoint.targets])))

    def turned(self, score: float) -> float:
        """Turn a score so that higher is better, or back."""
        return score if self.higher_is_better else -score

    def best(self, checkpoints: RunCheckpoints) -> int:
        """Return the position of the best checkpoint of the last stage, the first of those alike."""
        return max(_last_stage(checkpoints), key=lambda at: self.utility(checkpoints[at]))

    def first_reaching(self, checkpoints: RunCheckpoints, threshold: float) -> int | None:
        """Return the position of the first checkpoint of the last stage that is as good as a threshold."""
        wanted = self.turned(threshold)
        good = (at for at in _last_stage(checkpoints) if self.utility(checkpoints[at]) >= wanted)
        return next(good, None)

    def common_target(self, runs: Mapping[RateCell, RunCheckpoints]) -> float | None:
        """Return the best validation score that every method which tunes weights reaches with every seed.

        Of each method and seed the best checkpoint at the best of its learning rates counts. Methods that
        leave the weights as they are keep all of in-context learning at any score, and do not lower it for
        the others. None without any run of a method that tunes weights.
        """
        reached: dict[tuple[str, int], float] = {}
        for cell, checkpoints in runs.items():
            if cell.arm.tunes_weights:
                place = (cell.arm.label, cell.seed)
                utility = self.utility(checkpoints[self.best(checkpoints)])
                reached[place] = max(reached.get(place, -np.inf), utility)
        return self.turned(min(reached.values())) if reached else None

    def best_run(self, runs: Mapping[RateCell, RunCheckpoints]) -> RateCell | None:
        """Return the run whose best checkpoint is the best of all, None without runs."""
        return max(runs, key=lambda cell: self.utility(runs[cell][self.best(runs[cell])]), default=None)


def _last_stage(checkpoints: RunCheckpoints) -> list[int]:
    return [at for at, checkpoint in enumerate(checkpoints) if checkpoint.stage == checkpoints[-1].stage]


def checkpoint_from_dict(data: Mapping[str, Any]) -> RetentionCheckpoint:
    """Read a checkpoint as a record keeps it."""
    return RetentionCheckpoint(
        stage=data["stage"],
        step=data["step"],
        targets=tuple(TargetScore(**score) for score in data["targets"]),
        in_context=tuple(
            InContextValue(**{**value, "draws": tuple(value["draws"])}) for value in data["in_context"]
        ),
        alignment=tuple(ModuleAlignment(**alignment) for alignment in data["alignment"]),
    )
