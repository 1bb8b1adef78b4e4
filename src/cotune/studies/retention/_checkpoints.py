"""Checkpoints as records keep them, and which are compared: the best, and the first at a target score.

Both are chosen by validation scores; test scores are only reported.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cotune.evaluation.format_specialisation import ModuleAlignment
from cotune.evaluation.last_stage import StageChange
from cotune.findings.retention import InContextValue, RetentionCheckpoint, TargetScore, is_result
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

    def utility(self, checkpoint: RetentionCheckpoint, tasks: Collection[str] = ()) -> float:
        """Return the mean validation score, of some targets or of all, turned so that higher is better."""
        scores = [score.validation for score in checkpoint.targets if not tasks or score.task in tasks]
        return self.turned(float(np.mean(scores)))

    def turned(self, score: float) -> float:
        """Turn a score so that higher is better, or back."""
        return score if self.higher_is_better else -score

    def best(self, checkpoints: RunCheckpoints) -> int | None:
        """Return the position of the best candidate, the first of those alike; None without any."""
        return max(candidates(checkpoints), key=lambda at: self.utility(checkpoints[at]), default=None)

    def first_reaching(self, checkpoints: RunCheckpoints, threshold: float) -> int | None:
        """Return the position of the first candidate that is as good as a threshold."""
        wanted = self.turned(threshold)
        good = (at for at in candidates(checkpoints) if self.utility(checkpoints[at]) >= wanted)
        return next(good, None)

    def common_target(
        self, runs: Mapping[RateCell, RunCheckpoints], pretrained: RetentionCheckpoint
    ) -> float | None:
        """Return the best validation score that every method which tunes weights reaches with every seed.

        Of each method and seed the best candidate at the best of its learning rates counts. What an untuned
        model reaches is no level to compare tuned ones at: those that come no further do not lower it, and
        have not reached it. Neither do methods that leave the weights as they are, which keep all of
        in-context learning at any score. None where no tuned weights come further than untuned ones.
        """
        reached: dict[tuple[str, int], float] = {}
        for cell, checkpoints in runs.items():
            best = self.best(checkpoints)
            if cell.arm.tunes_weights and best is not None:
                place = (cell.arm.label, cell.seed)
                reached[place] = max(reached.get(place, -np.inf), self.utility(checkpoints[best]))
        floor = self._untuned(runs, pretrained)
        further = [utility for utility in reached.values() if utility > floor]
        return self.turned(min(further)) if further else None

    def _untuned(self, runs: Mapping[RateCell, RunCheckpoints], pretrained: RetentionCheckpoint) -> float:
        """Return the best that the pretrained weights reach, bare or under any prompt."""
        found = [self.utility(pretrained)] if pretrained.targets else []
        for cell, checkpoints in runs.items():
            best = self.best(checkpoints)
            if cell.arm.tunes_weights:
                found += [self.utility(one) for one in checkpoints if one.untouched]
            elif best is not None:
                found.append(self.utility(checkpoints[best]))
        return max(found, default=-np.inf)

    def best_run(self, runs: Mapping[RateCell, RunCheckpoints]) -> RateCell | None:
        """Return the run whose best checkpoint is the best of all, None without any."""
        best = {cell: at for cell, run in runs.items() if (at := self.best(run)) is not None}
        return max(best, key=lambda cell: self.utility(runs[cell][best[cell]]), default=None)


def candidates(checkpoints: RunCheckpoints) -> list[int]:
    """Return the positions of the checkpoints that are a method's result.

    Those of its last stage, after a step that changed something. The paper chooses among the checkpoints 100
    to 1000: before the first step of the last stage nothing of it has happened.
    """
    last = checkpoints[-1].stage if checkpoints else ""
    return [at for at, one in enumerate(checkpoints) if one.stage == last and is_result(one)]


def checkpoint_from_dict(data: Mapping[str, Any]) -> RetentionCheckpoint:
    """Read a checkpoint as a record keeps it."""
    return RetentionCheckpoint(
        stage=data["stage"],
        step=data["step"],
        targets=tuple(
            TargetScore(**{**score, "answers": tuple(score.get("answers", ()))}) for score in data["targets"]
        ),
        in_context=tuple(_in_context_value(value) for value in data["in_context"]),
        alignment=tuple(ModuleAlignment(**alignment) for alignment in data["alignment"]),
        change=StageChange.read(data.get("change")),
        # Where the weights are the pretrained model's, nobody asks them in context again.
        untouched=not data["in_context"],
    )


def _in_context_value(data: Mapping[str, Any]) -> InContextValue:
    sequences = {name: tuple(data.get(name, ())) for name in ("draws", "answers")}
    return InContextValue(**{**data, **sequences})
