"""What a model can do in context: exact match by task and number of demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from cotune.lab.toy_language._reader import toy_tasks
from cotune.lab.toy_language._tasks import INPUT_LENGTH
from cotune.tasks import Task, draw_demonstrations, format_prompt, get_metric

if TYPE_CHECKING:
    from cotune.models import LanguageModel

ANSWER_TOKENS = INPUT_LENGTH + 1
"""The longest answer and its end; what goes on after that is wrong anyway."""


def measure_abilities(
    model: LanguageModel,
    names: Sequence[str],
    *,
    shots: Sequence[int] = (1, 4),
    prompts: int = 256,
    seed: int = 0,
) -> dict[str, dict[int, float]]:
    """Score greedy answers to prompts of solved examples, on inputs that pretraining never saw.

    Parameters
    ----------
    model : LanguageModel
        The checkpoint in :data:`TOY_CHECKPOINT`, or what became of it.
    names : sequence of str
        Keys of :data:`TOY_TASKS`.
    shots : sequence of int
        Numbers of demonstrations k; they come from the training examples, anew for every prompt.
    prompts : int
        The most prompts of a task; every test example makes at most one.
    seed : int
        Decides examples and demonstrations.

    Returns
    -------
    dict of str to dict of int to float
        By task and k, the share of prompts answered exactly.
    """
    tasks = toy_tasks(names, test=prompts, seed=seed)
    return {task.name: {k: _score(model, task, k, seed) for k in shots} for task in tasks}


def _score(model: LanguageModel, task: Task, k: int, seed: int) -> float:
    prompts = []
    for number, example in enumerate(task["test"]):
        shown = draw_demonstrations(task, k, seed=seed, draw=(0, number))
        render = partial(format_prompt, task.instruction, demonstrations=shown, format=task.format)
        prompts.append(model.encoder.encode(render, example.input))
    fitting = [prompt for prompt in prompts if prompt is not None]
    answers = model.generate(model.base, fitting, max_new_tokens=ANSWER_TOKENS, batch_tokens=8192)
    score = get_metric(task.metric).score
    return fmean(score(answer, e.targets) for answer, e in zip(answers, task["test"], strict=True))
