"""What the file of a grouping study says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from cotune._config import Config, from_table
from cotune.exceptions import InputError
from cotune.studies.config import StudyConfig
from cotune.studies.grouping.arms import ARMS
from cotune.studies.grouping.estimators import ESTIMATORS, Estimator, GradientCosine
from cotune.studies.grouping.learners import LEARNERS
from cotune.training.learner_config import LearnerConfig


class GroupingConfig(Config):
    """How the tasks are grouped."""

    n_clusters: PositiveInt | Literal["auto"] = "auto"
    """Number of groups k."""
    k_max: PositiveInt | None = None
    """Largest k tried when it is chosen automatically."""
    k_rule: Literal["entry_cv", "bic", "average_density", "summed_density"] | None = None
    """How k is chosen automatically; by default entry_cv up to 100 tasks and the cheaper bic beyond."""
    scale: Literal["row_zscore", "two_way", "none"] | None = None
    """How rows of the affinity matrix are put on one scale; by default what suits the estimator."""
    missing: Literal["refuse", "complete"] = "refuse"
    """What happens to pairs of tasks that never met in a run."""


class ComparisonConfig(Config):
    """What the groups are compared with, all with the same total number of training steps."""

    budgets: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (16, 64)
    """Training steps a task; every arm is trained at each. Whether grouping pays depends on it."""
    seeds: PositiveInt = 3
    """How many times everything is trained, each time with another seed; with one nothing can be decided."""
    arms: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(ARMS)
    """Which ways of training to compare; "grouped" is always among them."""


class GroupingStudyConfig(StudyConfig):
    """A grouping study: tasks, a learner, how to measure affinity, how to group, what to compare with."""

    kind: Literal["grouping"] = "grouping"
    """What is studied: which tasks should be trained together."""
    learner: Annotated[LearnerConfig, from_table(LEARNERS, "kind")]
    """What is trained."""
    affinity: Annotated[Estimator, from_table(ESTIMATORS, "estimator")] = GradientCosine()
    """How affinity is estimated."""
    grouping: GroupingConfig = GroupingConfig()
    """How the tasks are grouped."""
    comparison: ComparisonConfig | None = ComparisonConfig()
    """What the groups are compared with; null only groups."""

    def check(self, where: str) -> None:
        """Check that tasks and learner fit, and that the arms exist."""
        if self.learner.reads_tasks and not self.tasks:
            raise InputError(f"{where}: tasks: the learner needs tasks; name a reader and a path.")
        if not self.learner.reads_tasks and self.tasks:
            raise InputError(f"{where}: tasks: this learner brings its own tasks; leave the key out.")
        chosen = {"n_clusters": self.grouping.n_clusters != "auto", "k_max": self.grouping.k_max is not None}
        for key, given in chosen.items():
            if self.affinity.finds_groups and given:
                raise InputError(
                    f"{where}: grouping.{key}: this estimator finds the groups and their number itself; "
                    "leave the key out, and bound the number by affinity.k_max."
                )
        for arm in self.comparison.arms if self.comparison else ():
            if arm not in ARMS:
                raise InputError(f"{where}: comparison.arms: unknown arm '{arm}', valid: {', '.join(ARMS)}.")
