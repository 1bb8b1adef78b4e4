"""The comparison stage: train every arm at every budget with every seed, score on test examples."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cotune.exceptions import InputError
from cotune.findings.comparison import CONVERGED, ArmScore, Budget, budget_order
from cotune.studies.engine import RunRecord
from cotune.studies.grouping._joint_parts import joint_parts
from cotune.studies.grouping._runs import (
    BranchedRun,
    ConvergedRun,
    FitRun,
    GroupingStudyRun,
    JointPartRun,
    VariedRun,
)
from cotune.studies.grouping.arms import (
    ARMS,
    BRANCHED,
    Length,
    Partition,
    Variation,
    check_parts,
    trained_parameters,
)
from cotune.studies.grouping.config import ArmConfig, ComparisonConfig
from cotune.tasks import Task
from cotune.training.learner import Learner
from cotune.training.parts import Patience

KEPT = {"grouped": "group", "branched": "branched-group"}
"""The arms whose adapters are kept, and how the folder of a group is called before its number."""

BudgetCell = tuple[str, Budget, int]
"""Arm, budget, seed."""


@dataclass(frozen=True)
class TrainedArm:
    """What an arm trains.

    Parameters
    ----------
    title : str
        What it is called.
    variation : Variation
        What of its training is another than the learner's own.
    adapters : int
        How many are trained.
    parameters : int or None
        That all of them train together; None where no arm is trained otherwise than the learner trains, so
        that it does not matter.
    share : float or None
        The part of the budget trained on all tasks before groups go on from it; None of an arm without.
    updates : {"shared", "joint"}
        Whether a model takes its tasks' part of the steps of all, or as many as one on all tasks.
    """

    title: str
    variation: Variation
    adapters: int
    parameters: int | None
    share: float | None = None
    updates: str = "shared"

    @classmethod
    def of(cls, arm: ArmConfig, learner: Learner, partition: Partition, target: int | None) -> TrainedArm:
        """Settle what an arm trains; ``target`` is what the groups train together, if it matters."""
        variation = Variation(method=arm.method, learning_rate=arm.learning_rate)
        if target is None:
            return cls(arm.title, variation, len(partition), None, arm.joint_share, arm.updates)
        if arm.match_parameters:
            variation = variation.matched(learner, partition, target)
        parameters = trained_parameters(variation.of(learner), partition)
        return cls(arm.title, variation, len(partition), parameters, arm.joint_share, arm.updates)

    def run(self, subset: tuple[str, ...], tasks: Sequence[str], seed: int, length: Length) -> FitRun:
        """Return the run that trains on one of its sets of tasks."""
        everyone = tuple(sorted(tasks))
        times = len(everyone) if self.updates == "joint" else len(subset)
        # All tasks that go on from a part on all tasks are the joint run, to the last bit.
        if self.share is None or subset == everyone:
            return self._whole(subset, seed, length.steps * times, length.patience(times))
        before, n = length.together(self.share), len(everyone)
        after, patience = length.steps - before, length.patience(times)
        joint = JointPartRun(everyone, seed, before * n, after * n, self._text, length.patience(n))
        return BranchedRun(subset, seed, after * times, "test", before * times, joint, patience)

    def _whole(self, subset: tuple[str, ...], seed: int, steps: int, patience: Patience | None) -> FitRun:
        if patience is not None:
            return ConvergedRun(subset, seed, steps, "test", self._text, patience)
        if self.variation.is_none:
            return FitRun(subset, seed, steps, "test")
        return VariedRun(subset, seed, steps, "test", self._text)

    @property
    def _text(self) -> str:
        return "" if self.variation.is_none else self.variation.text()


@dataclass(frozen=True)
class ArmRuns:
    """The runs of a comparison, by arm, budget and seed.

    Parameters
    ----------
    cells : mapping of (arm, budget, seed) to list of FitRun
        Runs that train and score all tasks once; arms share runs on the same subset.
    arms : tuple of TrainedArm
        What every arm trains, that of the groups first.
    """

    cells: Mapping[BudgetCell, list[FitRun]]
    arms: tuple[TrainedArm, ...] = ()

    @classmethod
    def plan(
        cls,
        learner: Learner,
        labels: Sequence[int],
        config: ComparisonConfig,
        seed: int,
        *,
        baselines: Mapping[str, Sequence[int]] | None = None,
        seeds: Mapping[str, int] | None = None,
    ) -> ArmRuns:
        """Lay out the runs; at one budget all arms take the same number of steps in all.

        Parameters
        ----------
        learner : Learner
            What is trained.
        labels : sequence of int
            The group found for every task, in the learner's order.
        config : ComparisonConfig
            Arms, budgets and seeds.
        seed : int
            The study's.
        baselines : mapping of str to sequence of int, optional
            Groups that others found, for the arms of their names.
        seeds : mapping of str to int, optional
            Training seeds of the arms that have other than the file's number.
        """
        found = {"grouped": labels, **(baselines or {})}
        tasks = learner.tasks
        cells: dict[BudgetCell, list[FitRun]] = {}
        arms: list[TrainedArm] = []
        groups = ARMS["grouped"](tasks, found, seed)
        target = trained_parameters(learner, groups) if config.counts_parameters else None
        for arm in config.every_arm:
            numbers = range((seeds or {}).get(arm.title, config.seeds))
            spread = [ARMS[arm.name](tasks, found, seed + number) for number in numbers]
            arms.append(TrainedArm.of(arm, learner, spread[0], target))
            for budget in config.budgets:
                for number, partition in enumerate(spread):
                    cells[arm.title, budget, number] = [
                        arms[-1].run(subset, tasks, seed + number, config.length_of(budget))
                        for subset in partition
                    ]
        return cls(cells, tuple(arms))

    @property
    def runs(self) -> list[FitRun]:
        """All runs, each once."""
        return list(dict.fromkeys(run for runs in self.cells.values() for run in runs))

    @property
    def joint_parts(self) -> list[JointPartRun]:
        """The parts on all tasks that runs go on from, each once."""
        return joint_parts(self.runs)

    def kept(self, folder: Path) -> dict[GroupingStudyRun, Path]:
        """Return the runs whose adapters are kept: the groups', trained either way, at the largest budget.

        Those of the first seed. A run of both ways, on a group of all tasks, is kept once.
        """
        budget = max((budget for _, budget, _ in self.cells), key=budget_order)
        kept: dict[GroupingStudyRun, Path] = {}
        for arm, stem in KEPT.items():
            for i, run in enumerate(self.cells.get((arm, budget, 0), ())):
                kept.setdefault(run, folder / f"{stem}-{i}")
        return kept

    def scores(
        self, records: Mapping[GroupingStudyRun, RunRecord], tasks: Iterable[Task] = ()
    ) -> list[ArmScore]:
        """Collect test scores; those of failed or missing runs are left out.

        Parameters
        ----------
        records : mapping of run to RunRecord
            What became of the runs.
        tasks : iterable of Task
            Tells which tasks are scored on the same examples.
        """
        shared = shared_examples(tasks)
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
                # Where another number of them fits the model, they are not the same.
                examples=f"{shared[task]}-{len(score.per_example)}" if task in shared else "",
            )
            for (arm, budget, seed), runs in self.cells.items()
            for run in runs
            if run in records
            for task, score in records[run].scores.items()
        ]


def shared_examples(tasks: Iterable[Task]) -> dict[str, str]:
    """Name the test inputs of every task that shares them with another, as instructions of a data set do."""
    names = {
        task.name: task.rows
        or hashlib.sha256(json.dumps([example.input for example in task["test"]]).encode()).hexdigest()
        for task in tasks
    }
    times = Counter(names.values())
    return {task: name for task, name in names.items() if times[name] > 1}


def check_arms(config: ComparisonConfig, learner: Learner, where: str) -> None:
    """Check that the learner can train every arm; loads no weights.

    Raises
    ------
    InputError
        If it cannot; names the arm.
    """
    everyone = [tuple(learner.tasks)]
    for number, arm in enumerate(config.arms):
        try:
            if config.counts_parameters:
                TrainedArm.of(arm, learner, everyone, trained_parameters(learner, everyone))
            variation = Variation(method=arm.method, learning_rate=arm.learning_rate)
            if arm.branches:
                check_parts(learner, variation, f"take the arm {BRANCHED!r} away")
            if CONVERGED in config.budgets:
                check_parts(learner, variation, f"take {CONVERGED!r} out of comparison.budgets")
        except InputError as error:
            raise InputError(f"{where}: comparison.arms.{number}: {error}") from error
