from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from cotune.tasks import Task
from cotune.training.learner_config import LearnerConfig

if TYPE_CHECKING:
    from cotune.lab.planted._learner import PlantedLearner


class PlantedConfig(LearnerConfig):
    """Tasks in planted groups, which trains nothing: scores follow a formula, see :class:`PlantedLearner`."""

    reads_tasks: ClassVar[bool] = False

    tasks: Annotated[int, Field(ge=1, le=9999)] = 12
    """Number of tasks; more of them leave the others as they are."""
    groups: PositiveInt = 3
    """Number of planted groups; tasks are dealt out in turn."""
    effect: NonNegativeFloat = 1.0
    """What a company all of a task's own group adds to its score."""
    harm: NonNegativeFloat = 0.5
    """What a company all of other groups takes off."""
    noise: NonNegativeFloat = 0.3
    """Standard deviation of a run's noise."""
    failures: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the runs that diverge."""
    examples: PositiveInt = 8
    """Examples behind a score."""
    world_seed: NonNegativeInt = 0
    """Decides the tasks' own levels and gradients."""
    ensemble: PositiveInt = 64
    """Runs done in one pass; sets the speed, not the result."""

    @model_validator(mode="after")
    def _groups_have_tasks(self) -> PlantedConfig:
        if self.groups > self.tasks:
            raise ValueError(f"groups must be at most the number of tasks {self.tasks}, got {self.groups}.")
        return self

    def build(self, tasks: Sequence[Task] = (), base: Path = Path()) -> PlantedLearner:
        """Make the learner, which brings its own tasks and reads no files; both arguments are ignored."""
        from cotune.lab.planted._learner import PlantedLearner

        return PlantedLearner(self)
