from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from cotune.exceptions import InputError
from cotune.studies.engine._events import Events
from cotune.studies.engine._plan import Plan
from cotune.studies.engine._study import Study
from cotune.studies.grouping._comparison import check_arms
from cotune.studies.grouping._design import AnyRun, FitRun, VariedRun, run_key
from cotune.studies.grouping._pipeline import collect_grouping, run_grouping
from cotune.studies.grouping._plan import plan_grouping
from cotune.studies.grouping._result import GroupingResult
from cotune.studies.grouping._status import GroupingStatus, grouping_status
from cotune.studies.grouping._worker import LearnerSetup
from cotune.studies.grouping.config import GroupingStudyConfig
from cotune.training.learner import EnsembleLearner, Learner
from cotune.training.learner_config import LearnerConfig


@dataclass(frozen=True)
class GroupingStudy(Study[GroupingStudyConfig, AnyRun]):
    """Which tasks should be trained together: affinity, groups, and what grouping is worth."""

    config_class: ClassVar[type[GroupingStudyConfig]] = GroupingStudyConfig

    @cached_property
    def learner(self) -> Learner:
        """The learner; it loads no model before it is used."""
        return self.config.learner.build(self.tasks, self.base)

    @property
    def model(self) -> LearnerConfig:
        """The learner's options."""
        return self.config.learner

    def check(self) -> dict[str, tuple[str, ...]]:
        """Check tasks, model and the number of groups; return what was cut or dropped by task."""
        n = len(self.learner.tasks)
        if n < 2:
            raise InputError(f"{self.path}: a study groups at least two tasks, got {n}.")
        k = self.config.grouping.n_clusters
        for key, value in (("n_clusters", k), ("k_max", self.config.grouping.k_max)):
            if isinstance(value, int) and value > n:
                raise InputError(
                    f"{self.path}: grouping.{key}: must be at most the number of tasks {n}, got {value}."
                )
        self.config.affinity.planned(self.learner, self.config.seed)
        if self.config.comparison is not None:
            check_arms(self.config.comparison, self.learner, str(self.path))
        read = {task.name: task.notes for task in self.tasks}
        return {name: read.get(name, ()) + notes for name, notes in self.learner.check().items()}

    def run(self, events: Events, *, retry_failed: bool = False) -> GroupingResult:
        """Do what the study still lacks and write its results."""
        return run_grouping(self, events, retry_failed=retry_failed)

    def collect(self) -> GroupingResult:
        """Put together what the store holds, running nothing."""
        return collect_grouping(self)

    def plan(self, *, measure: bool = True) -> Plan:
        """Tell what the study will cost."""
        return plan_grouping(self, measured=measure)

    def status(self) -> GroupingStatus:
        """Look up what is done."""
        return grouping_status(self)

    def key(self, run: AnyRun) -> str:
        """Hash learner, data of the run's tasks, and the run's fields."""
        return run_key(run, self.learner)

    def worker_setup(self) -> LearnerSetup:
        """Return what a process needs to use the learner."""
        config = self.config
        return LearnerSetup(config.learner, self.tasks, self.base, self.shared, config.executor.threads)

    def prepare(self) -> None:
        """Let the learner make what its runs share."""
        self.learner.prepare(self.shared)

    def batches(self, runs: Sequence[AnyRun]) -> list[Sequence[AnyRun]]:
        """Put fits that train side by side into passes as wide as the learner can."""
        own = self.learner.ensemble if isinstance(self.learner, EnsembleLearner) else 1
        alike: dict[tuple[int, str, str], list[FitRun]] = {}
        batches: list[Sequence[AnyRun]] = []
        for run in runs:
            if isinstance(run, VariedRun):
                alike.setdefault((run.steps, run.split, run.variation), []).append(run)
            elif isinstance(run, FitRun):
                alike.setdefault((run.steps, run.split, ""), []).append(run)
            else:
                batches.append((run,))
        for (_, _, variation), fits in alike.items():
            # Other methods than LoRA train one at a time, and those who wait can be shared out.
            width = own if not variation else 1
            batches += [tuple(fits[start : start + width]) for start in range(0, len(fits), width)]
        return batches
