"""What a study file says of a learner, and how it becomes one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cotune._config import Config
from cotune.tasks import Task
from cotune.training.learner import Learner


class LearnerConfig(Config):
    """Options of a kind of learner."""

    reads_tasks: ClassVar[bool] = True
    """Whether the learner is given the study's tasks; False for one that brings its own."""

    @abstractmethod
    def build(self, tasks: Sequence[Task], base: Path) -> Learner:
        """Make the learner, cheaply: models are loaded when they are first used.

        Parameters
        ----------
        tasks : sequence of Task
            The study's tasks, empty for a learner that brings its own.
        base : Path
            Folder that relative paths start from.
        """
