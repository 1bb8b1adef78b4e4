"""Tuning by one call: what ``cotune tune`` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune._config import parse
from cotune.studies.task_files import TaskSource, gather_tasks, read_task
from cotune.studies.tuning._config import TuneConfig
from cotune.studies.tuning._run import TuneEvents, tune_task
from cotune.tasks import Task
from cotune.training.config import TrainingConfig
from cotune.training.tuning import preset_training

if TYPE_CHECKING:
    from cotune.studies.tuning._result import TuneResult
    from cotune.training.methods import Method


def tune(
    task: TaskSource | Iterable[TaskSource],
    model: str | Path,
    out: str | Path,
    method: str | Mapping[str, Any] | Method = "promot",
    *,
    evaluation: TaskSource | Iterable[TaskSource] = (),
    steps: int | None = None,
    seed: int | None = None,
    training: Mapping[str, Any] | None = None,
    in_context: Mapping[str, Any] | None = None,
    events: TuneEvents | None = None,
    **options: Any,
) -> TuneResult:
    """Tune a model on one task or several, and tell what it could do before and after.

    What ``cotune tune`` does. A run that was killed goes on when it is called again; one that is done is only
    read.

    Parameters
    ----------
    task : Task, str, Path or iterable of them
        The task tuned on, or a file or folder of one (see :func:`cotune.read_tasks`); or several, which are
        tuned on together, each under a soft prompt of its own where the method has any. Checkpoints are
        chosen by validation examples, by the mean over the tasks, and test examples are reported.
    model : str or Path
        Folder of a transformers checkpoint, or a name on the hub.
    out : str or Path
        A new folder for what was trained, with a model card; it appears when all is done, and transformers
        and PEFT load it by themselves.
    method : str, mapping or Method
        What is trained: a key of :data:`cotune.training.methods.METHODS` such as "promot", "lora" or "full",
        or ``{"name": "promot", "weights": {"name": "lora"}}`` with options.
    evaluation : Task, str, Path or iterable of them
        Other tasks, asked in context before and after.
    steps : int, optional
        Optimiser steps of the last stage, by default 1000.
    seed : int, optional
        Of fresh parameters, dropout and batches, by default 0.
    training, in_context : mapping, optional
        The recipe, such as ``{"learning_rate": 1e-3, "batch_size": 8}``, and how the other tasks are asked,
        such as ``{"shots": [0, 4]}``; the keys of a study file.
    events : TuneEvents, optional
        Is told what it will take, and how it goes.
    **options
        Further keys of :class:`cotune.studies.tuning.TuneConfig`: ``preset``, ``precision``,
        ``format``, ``max_prompt_tokens``, ``checkpoint_every`` ...

    Returns
    -------
    TuneResult
        Scores ``before`` and ``after``, checkpoints, what the last stage changed.

    Raises
    ------
    InputError
        If model, task, method and recipe do not fit one another, or the folder holds something else; nothing
        is written then.
    RunError
        If the loss is not finite or explodes.

    Examples
    --------
    The model and the task here are those that come with cotune; files and hub names do as well.

    >>> from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
    >>> (copy,) = toy_tasks(["copy"], train=32, validation=8, test=8)
    >>> result = cotune.tune(copy, TOY_CHECKPOINT, "tuned", "lora", steps=4)
    >>> sorted(result.best)
    ['weights']
    >>> result.after.target.task, result.after.target.n_examples
    ('copy', 8)
    """
    sources = [task] if isinstance(task, Task | str | Path) else list(task)
    if len(sources) > 1:
        training = {
            "tasks_per_batch": _mixed(len(sources), training, options.get("preset")),
            **(training or {}),
        }
    given = {"steps": steps, "seed": seed, "training": training, "in_context": in_context}
    content = {
        "model": str(model),
        "method": {"name": method} if isinstance(method, str) else method,
        **{key: value for key, value in given.items() if value is not None},
        **options,
    }
    config = parse(TuneConfig, content, "cotune tune")
    targets = [one if isinstance(one, Task) else read_task(one) for one in sources]
    told, others = events or _Silent(), gather_tasks(evaluation)
    return tune_task(config, targets, Path(out), told, evaluation=others, says_cost=events is not None)


def _mixed(n: int, training: Mapping[str, Any] | None, preset: str | None) -> int:
    """Return of how many of n tasks a batch holds examples where nobody says: of all, if it has room."""
    recipe = {**preset_training(preset), **(training or {})}
    size = recipe.get("batch_size", TrainingConfig.model_fields["batch_size"].default)
    return min(n, size) if isinstance(size, int) else n


class _Silent:
    """Tells nobody."""

    def advance(self, title: str, done: int, total: int, detail: str = "") -> None:
        pass

    def checkpoint(self, stage: str, step: int, score: float) -> None:
        pass

    def note(self, text: str) -> None:
        pass
