"""What a first-order estimate needs of the models, and what one step does to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cotune.lab.function_classes._model import StackedRegressor
from cotune.lab.function_classes._training import Training
from cotune.training.sketch import Sketch

_COPIES = 64
"""Prompts differentiated at once, each by a copy of the model of its own."""

Prompts = tuple[Tensor, Tensor]
"""Points (B, N, d) and values (B, N)."""


def linearise(
    base: StackedRegressor, prompts: Prompts, *, dimension: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Compute every prediction, its projected gradient over the model's parameters, and what it should be.

    Every prompt is read by a copy of the model of its own, so that one backward pass gives the gradients of
    all prompts' predictions at a position.

    Parameters
    ----------
    base : StackedRegressor
        One model.
    prompts : tuple of Tensor
        B prompts of N points.
    dimension : int
        Longer gradients are projected to this length.
    seed : int
        Of the projection.

    Returns
    -------
    gradients : ndarray of float32, shape (B * N, d)
        Prompt by prompt, position by position.
    predictions, targets : ndarray of float32, shape (B * N,)
    """
    sketch = Sketch(sum(p.numel() for p in base.parameters()), dimension, seed)
    gradients, predictions = [], []
    for x, y in zip(*(torch.split(part, _COPIES) for part in prompts), strict=True):
        copies = base.copies(len(x))
        predicted = copies(x.unsqueeze(1), y.unsqueeze(1)).squeeze(1)
        by_position = [
            torch.autograd.grad(of_position.sum(), list(copies.parameters()), retain_graph=True)
            for of_position in predicted.unbind(1)
        ]
        rows = [torch.cat([part.flatten(1) for part in parts], dim=1) for parts in by_position]
        gradients.append(
            np.stack([[sketch(row) for row in of_position.numpy()] for of_position in rows], axis=1)
        )
        predictions.append(predicted.detach().numpy())
    return (
        np.concatenate(gradients).reshape(-1, sketch.dimension),
        np.concatenate(predictions).reshape(-1),
        np.asarray(prompts[1].numpy().reshape(-1), dtype=np.float32),
    )


def look_ahead(
    training: Training,
    joint: Iterator[Prompts],
    by_class: Sequence[Iterator[Prompts]],
    *,
    steps: int,
    every: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Do a run; before every ``every``-th step let copies try a step on each class, and measure all classes.

    Parameters
    ----------
    training : Training
        Of one model, not begun.
    joint : iterator of tuple of Tensor
        Batches of all classes.
    by_class : sequence of n iterators of tuple of Tensor
        Batches of each class alone, one for each measurement.
    steps, every : int
        Steps of the run, and from one measurement to the next.

    Returns
    -------
    before : ndarray of shape (t, n)
        Mean squared error of every class on its batch.
    after : ndarray of shape (t, n, n)
        ``after[t, i, j]``: that of class i after a step on class j.
    """
    before, after = [], []
    for step in range(steps):
        if step % every == 0:
            x, y = (torch.stack(part) for part in zip(*(next(stream) for stream in by_class), strict=True))
            before.append(_losses(training.model, x, y)[0])
            ahead = training.copies(len(by_class))
            ahead.step(x, y)
            after.append(_losses(ahead.model, x, y).T)
        points, values = next(joint)
        training.step(points.unsqueeze(0), values.unsqueeze(0))
    return np.stack(before), np.stack(after)


def _losses(models: StackedRegressor, x: Tensor, y: Tensor) -> NDArray[np.float64]:
    """Mean squared error of M models on n classes' batches, (n, B, N, d) and (n, B, N), as (M, n)."""
    n_classes, n_prompts = y.shape[:2]
    with torch.inference_mode():
        all_x, all_y = (
            part.flatten(0, 1).expand(models.n_models, *[-1] * (part.ndim - 1)) for part in (x, y)
        )
        errors = (models(all_x, all_y) - all_y).square().mean(2)
    by_class = errors.view(models.n_models, n_classes, n_prompts).mean(2)
    return np.asarray(by_class.numpy(), dtype=np.float64)
