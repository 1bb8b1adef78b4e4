from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cotune.exceptions import InputError
from cotune.models import LanguageModel
from cotune.tasks import Task, check_tasks
from cotune.training.methods import Method
from cotune.training.tuning._config import TuningConfig
from cotune.training.tuning._tuner import OnProgress, Tuner
from cotune.training.tuning._types import Tuned, Watcher


@contextmanager
def tune(
    model: LanguageModel,
    method: Method,
    tasks: Sequence[Task],
    config: TuningConfig,
    *,
    seed: int,
    watch: Watcher,
    state: Path | None = None,
    shared: Path | None = None,
    progress: OnProgress | None = None,
    base: Path = Path(),
    others: Sequence[Task] = (),
    memory: dict[str, Any] | None = None,
) -> Iterator[Tuned]:
    """Run a method's stages on target tasks; inside the context the model is the tuned one.

    A stage is measured before its first step, at every checkpoint and at its end; the best of its checkpoints
    after a step is restored, and the next stage starts from it. What stands before the first step is what the
    stage was given: it is no candidate, whatever its score. On one thread of one machine a run repeats
    exactly, also when it was killed and continued.

    Parameters
    ----------
    model : LanguageModel
        The base; as before when the context is left.
    method : Method
        What is trained.
    tasks : sequence of Task
        The target tasks.
    config : TuningConfig
        The recipe.
    seed : int
        Decides fresh parameters, dropout, the order of the examples and their demonstrations.
    watch : Watcher
        Measures checkpoints.
    state : Path, optional
        A folder to continue from when the run was killed; written at every checkpoint.
    shared : Path, optional
        A folder of stages that runs on this model with this watcher have in common, such as the first of
        ProMoT at several learning rates of the second; a stage found there is neither trained nor measured
        again. The last stage is never shared.
    progress : callable, optional
        Called after every step.
    base : Path
        Folder that relative paths of text to replay start from.
    others : sequence of Task
        Tasks that are only asked in context, whose training splits a method may put beside the targets.
    memory : dict, optional
        What the watcher wants to have again after a kill, of plain types and tensors: it fills it at a
        checkpoint, it is written with every state, and it is filled from the state that a run goes on from.

    Yields
    ------
    Tuned

    Raises
    ------
    InputError
        If a task has no example to train on, or one does not fit the model under its soft prompt; if there is
        nothing of what is to stand beside the targets; if the folder of the state is that of another run.
    RunError
        If the loss or a score is not finite or the loss explodes; names the stage.
    """
    check_tasks(tasks)
    if not tasks:
        raise InputError("There is no task to tune on; name at least one target.")
    torch.manual_seed(seed)
    with method.attach(model, [task.name for task in tasks]) as attached:
        memory = {} if memory is None else memory
        tuner = Tuner(
            model, method, attached, tasks, config, seed, watch, shared, progress, base, others, memory
        )
        tuner.run(state)
        yield tuner.tuned()
