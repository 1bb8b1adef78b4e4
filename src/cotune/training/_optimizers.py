"""Optimisers and learning-rate schedules by the names of the recipe."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from cotune.training.config import TrainingConfig


def _adamw(parameters: list[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def _adafactor(parameters: list[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    from transformers.optimization import Adafactor

    optimizer: torch.optim.Optimizer = Adafactor(
        parameters,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        decay_rate=-0.8,
        scale_parameter=config.scale_parameter,
        relative_step=False,
    )
    return optimizer


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter], TrainingConfig], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adafactor": _adafactor,
}


def make_schedule(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, n_steps: int, since: int = 0
) -> torch.optim.lr_scheduler.LRScheduler:
    """Rise linearly, from the first step on, then follow the schedule; a run of one step trains too.

    ``n_steps`` are those of the whole run, ``since`` the first of them that is done here.
    """
    warmup = math.ceil(config.warmup * n_steps)
    shape = SCHEDULES[config.schedule]

    def factor(step: int) -> float:
        step += since
        progress = max(step - warmup, 0) / max(n_steps - warmup, 1)
        return min((step + 1) / (warmup + 1), 1.0) * shape(progress)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""Share of the peak learning rate by the share of the steps after the warmup that are done."""
