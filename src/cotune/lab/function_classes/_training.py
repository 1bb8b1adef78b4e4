"""Training an ensemble: one optimiser, one schedule, one clipped gradient a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from cotune.exceptions import RunError
from cotune.lab.function_classes._model import EnsembleRegressor

_WARMUP_STEPS = 20
_FINAL_LR = 0.05
_CLIP = 1.0


def train(
    model: EnsembleRegressor,
    streams: Sequence[Iterator[tuple[Tensor, Tensor]]],
    *,
    steps: int,
    lr: float,
    names: Sequence[str],
) -> Tensor:
    """Train the M models of an ensemble in place, each on its own batches.

    Adam (beta2 = 0.98) on the mean squared error over prompts and positions; the learning rate rises over
    20 steps and falls along a cosine to 5 % of its peak. No model sees another one's gradient: Adam works
    element by element, and the norm of the gradient is clipped at 1 model by model.

    Parameters
    ----------
    model : EnsembleRegressor
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
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_factor(step, steps))
    losses = torch.empty(steps, model.n_models)
    for step in range(steps):
        batch = [next(stream) for stream in streams]
        x, y = (torch.stack(part) for part in zip(*batch, strict=True))
        loss = (model(x, y) - y).square().mean((1, 2))
        losses[step] = loss.detach()
        _check_finite(loss, names, step + 1)
        optimizer.zero_grad()
        loss.sum().backward()
        _clip_each_model(parameters)
        optimizer.step()
        schedule.step()
    return losses


def _lr_factor(step: int, steps: int) -> float:
    rise = min(1.0, (step + 1) / _WARMUP_STEPS)
    fall = _FINAL_LR + (1 - _FINAL_LR) * 0.5 * (1 + math.cos(math.pi * step / steps))
    return rise * fall


def _clip_each_model(parameters: Sequence[nn.Parameter]) -> None:
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    shrink = (_CLIP / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(shrink.view(-1, *[1] * (gradient.ndim - 1)))


def _check_finite(loss: Tensor, names: Sequence[str], step: int) -> None:
    finite = loss.isfinite()
    if not finite.all():
        bad = int(finite.int().argmin())
        raise RunError(
            f"The loss of {names[bad]} is {loss[bad].item()} at step {step}; lower the learning rate."
        )
