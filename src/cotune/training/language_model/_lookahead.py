"""Lookahead: what a step on one task does to the losses of all, along one joint run (TAG)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cotune.models import Encoded

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel
    from cotune.training._loop import TrainingRun


def look_ahead(
    model: LanguageModel,
    module: nn.Module,
    run: TrainingRun,
    joint: Iterator[Sequence[Encoded]],
    by_task: Sequence[Iterator[Sequence[Encoded]]],
    *,
    every: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Do a run; before every ``every``-th step try a step on each task and measure all tasks' losses.

    Parameters
    ----------
    model : LanguageModel
        Scores the module.
    module : Module
        What is trained.
    run : TrainingRun
        The run, not begun.
    joint : iterator of sequences of Encoded
        Its batches.
    by_task : sequence of n iterators of sequences of Encoded
        Batches of each task alone, one for each measurement.
    every : int
        Steps from one measurement to the next.

    Returns
    -------
    before : ndarray of shape (t, n)
        Mean over a task's batch of the loss per target token, in nats.
    after : ndarray of shape (t, n, n)
        ``after[t, i, j]``: that of task i after a step on task j.
    """
    before, after = [], []
    while run.step < run.n_steps:
        batches = [next(stream) for stream in by_task]
        before.append(_losses(model, module, batches))
        columns = []
        for batch in batches:
            with run.step_ahead(batch):
                columns.append(_losses(model, module, batches))
        after.append(np.stack(columns, axis=1))
        run.run(islice(joint, every))
    return np.stack(before), np.stack(after)


def _losses(
    model: LanguageModel, module: nn.Module, batches: Sequence[Sequence[Encoded]]
) -> NDArray[np.float64]:
    return np.array([model.nll(module, batch).mean() for batch in batches])
