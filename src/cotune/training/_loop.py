from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cotune.exceptions import RunError
from cotune.models import Encoded, LanguageModel
from cotune.training.config import TrainingConfig


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """What a training run did.

    Parameters
    ----------
    losses : tuple of float
        Mean negative log-likelihood per target token of each step's batch, before the step, in nats.
    tokens : int
        Tokens of all examples seen, counted one by one.
    seconds : float
        Wall time of the loop.
    """

    losses: tuple[float, ...]
    tokens: int
    seconds: float


def train(
    model: LanguageModel,
    module: nn.Module,
    batches: Iterable[Sequence[Encoded]],
    n_steps: int,
    config: TrainingConfig,
) -> TrainingLog:
    """Train whatever parameters of ``module`` require a gradient, on target tokens only.

    The one loop of all methods. Randomness (dropout) comes from torch's global generator, which the caller
    seeds; on one thread of one machine a run repeats exactly.

    Parameters
    ----------
    model : LanguageModel
        Encodes batches for the module.
    module : Module
        The base model under an adapter, or itself.
    batches : iterable of sequences of Encoded
        At least ``n_steps`` batches.
    n_steps : int
        Optimiser steps.
    config : TrainingConfig
        The recipe.

    Returns
    -------
    TrainingLog

    Raises
    ------
    RunError
        If the loss is not finite or explodes, or the last step leaves weights that are not finite; the
        sentence names the step.
    """
    from accelerate import Accelerator

    half = model.base.dtype == torch.bfloat16
    # Accelerate remembers its precision for the whole process; autocast below serves models of either.
    accelerator = Accelerator(mixed_precision="no", cpu=model.device.type == "cpu")
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = accelerator.prepare_optimizer(OPTIMIZERS[config.optimizer](parameters, config))
    schedule = _schedule(optimizer.optimizer, config, n_steps)
    limit = config.max_loss or 4 * math.log(model.vocabulary_size)
    losses: list[float] = []
    tokens = 0
    start = time.perf_counter()
    module.train()
    for step, examples in zip(range(n_steps), batches, strict=False):
        n_targets = sum(len(example.target) for example in examples)
        total = 0.0
        for indices in model.chunks(examples, pass_tokens(model, config)):
            batch = model.batch([examples[i] for i in indices])
            with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=half):
                loss = model.target_losses(module, batch).sum() / n_targets
            accelerator.backward(loss)
            total += loss.item()
            tokens += batch.n_tokens
        losses.append(_checked(total, limit, step, n_steps))
        if config.clip is not None:
            accelerator.clip_grad_norm_(parameters, config.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
    module.eval()
    if not all(parameter.isfinite().all() for parameter in parameters):
        raise RunError(
            f"The weights are not finite after step {n_steps} of {n_steps}; try a lower learning rate."
        )
    return TrainingLog(tuple(losses), tokens, time.perf_counter() - start)


def pass_tokens(model: LanguageModel, config: TrainingConfig) -> int:
    """Return the tokens a backward pass may hold: on a CPU more would cost memory and save no time."""
    return config.pass_tokens or (384 if model.device.type == "cpu" else 16_384)


def _checked(loss: float, limit: float, step: int, n_steps: int) -> float:
    if not math.isfinite(loss):
        raise RunError(f"The loss became {loss} at step {step + 1} of {n_steps}; try a lower learning rate.")
    if loss > limit:
        raise RunError(
            f"The loss exploded to {loss:.1f} nats a token (limit {limit:.1f}) at step {step + 1} of "
            f"{n_steps}; try a lower learning rate."
        )
    return loss


def _adamw(parameters: list[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def _adafactor(parameters: list[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    from transformers.optimization import Adafactor

    optimizer: torch.optim.Optimizer = Adafactor(
        parameters,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        scale_parameter=False,
        relative_step=False,
    )
    return optimizer


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter], TrainingConfig], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adafactor": _adafactor,
}


def _schedule(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, n_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Rise linearly, from the first step on, then follow the schedule; a run of one step trains too."""
    warmup = math.ceil(config.warmup * n_steps)
    shape = SCHEDULES[config.schedule]

    def factor(step: int) -> float:
        progress = max(step - warmup, 0) / max(n_steps - warmup, 1)
        return min((step + 1) / (warmup + 1), 1.0) * shape(progress)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""Share of the peak learning rate by the share of the steps after the warmup that are done."""
