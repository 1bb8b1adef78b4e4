"""The comparison stage: train every arm at every budget with every seed, score on test examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cotune.evaluation.comparison import ArmScore
from cotune.studies._runs import RunRecord
from cotune.studies.grouping._runs import AnyRun, FitRun
from cotune.studies.grouping.arms import ARMS
from cotune.studies.grouping.config import ComparisonConfig

Cell = tuple[str, int, int]
"""Arm, budget, seed."""


@dataclass(frozen=True)
class ArmRuns:
    """The runs of a comparison, by arm, budget and seed.

    Parameters
    ----------
    cells : mapping of (arm, budget, seed) to list of FitRun
        Runs that train and score all tasks once; arms share runs on the same subset.
    """

    cells: Mapping[Cell, list[FitRun]]

    @classmethod
    def plan(
        cls, tasks: tuple[str, ...], labels: tuple[int, ...], config: ComparisonConfig, seed: int
    ) -> ArmRuns:
        """Lay out the runs; at one budget all arms take the same number of steps in all."""
        arms = dict.fromkeys(("grouped", *config.arms))
        cells = {
            (arm, budget, number): [
                FitRun(subset, seed + number, budget * len(subset), "test")
                for subset in ARMS[arm](tasks, labels, seed + number)
            ]
            for budget in config.budgets
            for number in range(config.seeds)
            for arm in arms
        }
        return cls(cells)

    @property
    def runs(self) -> list[FitRun]:
        """All runs, each once."""
        return list(dict.fromkeys(run for runs in self.cells.values() for run in runs))

    def kept(self, folder: Path) -> dict[AnyRun, Path]:
        """Return the runs whose adapters are kept: the groups' at the largest budget, first seed."""
        budget = max(budget for _, budget, _ in self.cells)
        return {run: folder / f"group-{i}" for i, run in enumerate(self.cells["grouped", budget, 0])}

    def scores(self, records: Mapping[AnyRun, RunRecord]) -> list[ArmScore]:
        """Collect test scores; those of failed or missing runs are left out."""
        return [
            ArmScore(
                arm=arm,
                budget=budget,
                seed=seed,
                task=task,
                value=score.value,
                higher_is_better=score.higher_is_better,
                metric=score.metric,
                per_example=score.per_example,
            )
            for (arm, budget, seed), runs in self.cells.items()
            for run in runs
            if run in records
            for task, score in records[run].scores.items()
        ]
