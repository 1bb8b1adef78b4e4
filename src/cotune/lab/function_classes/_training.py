"""Training models side by side: one optimiser, one schedule, one clipped gradient a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cotune.exceptions import RunError
from cotune.lab.function_classes._model import StackedRegressor
from cotune.training.side_by_side import clip_each
from cotune.training.steps import tell_step

_WARMUP_STEPS = 20
_FINAL_LR = 0.05
_CLIP = 1.0


def train(
    model: StackedRegressor,
    streams: Sequence[Iterator[tuple[Tensor, Tensor]]],
    *,
    steps: int,
    lr: float,
    names: Sequence[str],
) -> Tensor:
    """Train the M models of a stack in place, each on its own batches.

    Adam (beta2 = 0.98) on the mean squared error over prompts and positions; the learning rate rises over
    20 steps and falls along a cosine to 5 % of its peak. No model sees another one's gradient: Adam works
    element by element, and the norm of the gradient is clipped at 1 model by model.

    Parameters
    ----------
    model : StackedRegressor
        M models.
    streams : sequence of M iterators
        Batches of each model: points (B, N, d) and values (B, N).
    steps : int
        Optimiser steps.
    lr : float
        Peak learning rate.
    names : sequence of M str
        What each model is called in an error message.

    Returns
    -------
    Tensor of shape (steps, M)
        Training losses.

    Raises
    ------
    RunError
        If a loss is not finite; names the model and the step.
    """
    training = Training(model, steps=steps, lr=lr)
    losses = torch.empty(steps, model.n_models)
    for step in range(steps):
        batch = [next(stream) for stream in streams]
        x, y = (torch.stack(part) for part in zip(*batch, strict=True))
        losses[step] = training.step(x, y)
        _check_finite(losses[step], names, step + 1)
        tell_step(step + 1, steps)
    return losses


class Training:
    """The steps of :func:`train`, one by one.

    Parameters
    ----------
    model : StackedRegressor
        M models.
    steps : int
        Steps of the whole run, which the schedule follows.
    lr : float
        Peak learning rate.
    """

    def __init__(self, model: StackedRegressor, *, steps: int, lr: float) -> None:
        self.model = model
        self._steps, self._lr = steps, lr
        self._optimizer = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, 0.98), fused=True)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: _lr_factor(step, steps)
        )

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Do a step on points (M, B, N, d) and values (M, B, N); return the losses (M,) before it."""
        loss = (self.model(x, y) - y).square().mean((1, 2))
        self._optimizer.zero_grad()
        loss.sum().backward()
        clip_each(list(self.model.parameters()), _CLIP)
        self._optimizer.step()
        self._schedule.step()
        before: Tensor = loss.detach()
        return before

    def copies(self, count: int) -> Training:
        """Return the training of one model as that of many copies, each to go on by itself."""
        twin = Training(self.model.copies(count), steps=self._steps, lr=self._lr)
        state = self._optimizer.state_dict()
        moments = {
            index: {
                name: value.repeat(count, *[1] * (value.ndim - 1)) if value.ndim else value.clone()
                for name, value in of_parameter.items()
            }
            for index, of_parameter in state["state"].items()
        }
        twin._optimizer.load_state_dict({**state, "state": moments})
        return twin


def _lr_factor(step: int, steps: int) -> float:
    rise = min(1.0, (step + 1) / _WARMUP_STEPS)
    fall = _FINAL_LR + (1 - _FINAL_LR) * 0.5 * (1 + math.cos(math.pi * step / steps))
    return rise * fall


def _check_finite(loss: Tensor, names: Sequence[str], step: int) -> None:
    finite = loss.isfinite()
    if not finite.all():
        bad = int(finite.int().argmin())
        raise RunError(
            f"The loss of {names[bad]} is {loss[bad].item()} at step {step}; lower the learning rate."
        )
