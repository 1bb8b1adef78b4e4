"""Tasks: what a model is trained and scored on."""

from typing import TYPE_CHECKING, Any

from cotune.tasks._notes import note_lines
from cotune.tasks._sample_answer import SampleAnswer
from cotune.tasks._task import SPLITS, Example, Task, Turn, check_tasks
from cotune.tasks.demonstrations import draw_demonstrations
from cotune.tasks.metrics import METRICS, Metric, get_metric
from cotune.tasks.mixing import Batches, Mixture, SampledMixture
from cotune.tasks.prompts import (
    FORMATS,
    PromptFormat,
    cut_answer,
    format_prompt,
    format_target,
    format_turns,
    get_format,
    stops_of,
    turns_of,
)

if TYPE_CHECKING:
    from cotune.tasks.readers import READERS

__all__ = [
    "FORMATS",
    "METRICS",
    "READERS",
    "SPLITS",
    "Batches",
    "Example",
    "Metric",
    "Mixture",
    "PromptFormat",
    "SampleAnswer",
    "SampledMixture",
    "Task",
    "Turn",
    "check_tasks",
    "cut_answer",
    "draw_demonstrations",
    "format_prompt",
    "format_target",
    "format_turns",
    "get_format",
    "get_metric",
    "note_lines",
    "stops_of",
    "turns_of",
]


def __getattr__(name: str) -> Any:
    # The readers need pydantic and Jinja, which those who only score or mix do not pay for.
    if name == "READERS":
        from cotune.tasks.readers import READERS

        return READERS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
