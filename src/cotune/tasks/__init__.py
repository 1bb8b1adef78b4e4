"""Tasks: what a model is trained and scored on."""

from cotune.tasks._task import SPLITS, Example, Task, check_tasks
from cotune.tasks.metrics import METRICS, Metric, get_metric
from cotune.tasks.mixing import Mixture
from cotune.tasks.prompts import format_prompt, format_target

__all__ = [
    "METRICS",
    "SPLITS",
    "Example",
    "Metric",
    "Mixture",
    "Task",
    "check_tasks",
    "format_prompt",
    "format_target",
    "get_metric",
]
