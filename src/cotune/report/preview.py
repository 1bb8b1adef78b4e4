"""From what a model sees of tasks to its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cotune.findings.preview import Preview, ShownPrompt, TaskPreview, visible

TEMPLATE = "preview.html"


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as it is drawn: its text, its number, whether it is learned, whether a line ends after it."""

    text: str
    id: int
    learned: bool
    ends_line: bool


@dataclass(frozen=True, slots=True)
class PromptView:
    """A prompt as it is drawn."""

    title: str
    size: str
    tokens: Sequence[TokenView]


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as it is drawn."""

    task: TaskPreview
    anchor: str
    prompts: Sequence[PromptView]


def context(data: Preview) -> dict[str, object]:
    """Return what the template shows; see :func:`cotune.report.render_report`."""
    views = [
        TaskView(task, f"task-{number}", [_prompt(prompt) for prompt in task.prompts])
        for number, task in enumerate(data.tasks)
    ]
    return {"data": data, "tasks": views}


def _prompt(prompt: ShownPrompt) -> PromptView:
    tokens = [
        TokenView(visible(token.text), token.id, token.learned, token.text.endswith("\n"))
        for token in prompt.tokens
    ]
    return PromptView(prompt.title, prompt.size, tokens)
