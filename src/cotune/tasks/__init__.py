"""Tasks: what a model is trained and scored on."""

from cotune.tasks._task import SPLITS, Example, Task

__all__ = ["SPLITS", "Example", "Task"]
