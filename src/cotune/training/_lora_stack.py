"""Many LoRAs side by side on one base: a row passes through one of them, and each is trained as if alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cotune.exceptions import RunError
from cotune.models import Encoded, LanguageModel
from cotune.models.memory import in_parts
from cotune.models.moving import Awaited, sent
from cotune.training._log import TrainingLog
from cotune.training._loop import check_loss, overflow
from cotune.training._objective import pass_tokens
from cotune.training._optimizers import OPTIMIZERS, make_schedule
from cotune.training.batches import as_task_batch
from cotune.training.config import TrainingConfig
from cotune.training.parts import WHOLE, Span
from cotune.training.side_by_side import clip_each
from cotune.training.steps import tell_step


class LowRank(NamedTuple):
    """The update ``scaling B A`` of one weight matrix."""

    A: torch.Tensor
    """Shape (r, in)."""
    B: torch.Tensor
    """Shape (out, r)."""
    scaling: float


Adapter: TypeAlias = Mapping[str, LowRank]
"""A LoRA: its updates by the path of the matrix in the base."""


def adapter_of(base: nn.Module) -> dict[str, LowRank] | None:
    """Return the LoRA that PEFT has put on a base, not copied; None where it is on other than linear maps."""
    from peft.tuners.lora import LoraLayer

    found: dict[str, LowRank] = {}
    for path, module in base.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        down, up = (dict(maps.items()).get("default") for maps in (module.lora_A, module.lora_B))
        if not (isinstance(down, nn.Linear) and isinstance(up, nn.Linear)):
            return None
        found[path] = LowRank(down.weight, up.weight, float(module.scaling["default"]))
    return found


class LoraStack:
    """M LoRAs of one shape, each matrix a stack of theirs.

    Parameters
    ----------
    adapters : sequence of M mappings
        Their first values.
    """

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self._paths = tuple(adapters[0])
        self._A = {path: _stacked([adapter[path].A for adapter in adapters]) for path in self._paths}
        self._B = {path: _stacked([adapter[path].B for adapter in adapters]) for path in self._paths}
        self._scaling = {path: adapters[0][path].scaling for path in self._paths}
        self._rows: torch.Tensor | None = None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The stacked matrices, of shape (M, r, in) and (M, out, r)."""
        return [*self._A.values(), *self._B.values()]

    def write(self, index: int, adapter: Adapter) -> None:
        """Give one of the LoRAs' values to an adapter from :func:`adapter_of`."""
        with torch.no_grad():
            for path, (down, up, _) in adapter.items():
                down.copy_(self._A[path][index])
                up.copy_(self._B[path][index])

    def moments(
        self, adapters: Sequence[Adapter], moments: Sequence[Mapping[Any, Mapping[str, Any]]]
    ) -> dict[nn.Parameter, dict[str, Any]]:
        """Stack what optimisers kept of the matrices of these LoRAs, the same number of steps in.

        Those of no LoRA give none.
        """
        stacked: dict[nn.Parameter, dict[str, Any]] = {}
        for path in self._paths:
            for ours, theirs in (
                (self._A[path], [adapter[path].A for adapter in adapters]),
                (self._B[path], [adapter[path].B for adapter in adapters]),
            ):
                kept = [of[matrix] for of, matrix in zip(moments, theirs, strict=True) if of]
                if kept:
                    stacked[ours] = {
                        key: torch.stack([one[key] for one in kept]) if value.ndim else value.clone()
                        for key, value in kept[0].items()
                    }
        return stacked

    @contextmanager
    def attached(self, base: nn.Module) -> Iterator[None]:
        """Put the stack on a bare base, for batches whose rows :meth:`rows` assigns."""
        hooks = [base.get_submodule(path).register_forward_hook(self._update(path)) for path in self._paths]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def rows(self, owner: torch.Tensor) -> Iterator[None]:
        """Say which LoRA each row of the next passes belongs to, as a LongTensor of shape (rows,)."""
        self._rows = owner
        try:
            yield
        finally:
            self._rows = None

    def _update(self, path: str) -> Callable[..., torch.Tensor]:
        def add(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            inputs, rows = args[0], self._rows
            if rows is None or inputs.ndim != 3 or len(inputs) != len(rows):
                raise RunError(f"The map {path} of the model does not read a batch row by row.")
            down, up = self._A[path][rows], self._B[path][rows]
            narrow = torch.bmm(inputs.to(down.dtype), down.mT)
            return (output + torch.bmm(narrow, up.mT) * self._scaling[path]).to(output.dtype)

        return add


def _stacked(matrices: Sequence[torch.Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.stack([matrix.detach() for matrix in matrices]))


def train_side_by_side(
    model: LanguageModel,
    stack: LoraStack,
    streams: Sequence[Iterator[Sequence[Encoded]]],
    n_steps: int,
    config: TrainingConfig,
    names: Sequence[str],
    *,
    span: Span = WHOLE,
    moments: Mapping[nn.Parameter, Mapping[str, Any]] | None = None,
) -> list[TrainingLog]:
    """Train M LoRAs in place, each on batches of its own, as each alone would be up to rounding.

    Every forward pass holds rows of several of them; the loss of each is the mean over its own target tokens,
    its gradient is clipped by its own norm, and the optimiser works element by element.

    Parameters
    ----------
    model : LanguageModel
        The base, without dropout.
    stack : LoraStack
        The M LoRAs, not attached.
    streams : sequence of M iterators
        Batches of each.
    n_steps : int
        Optimiser steps.
    config : TrainingConfig
        The recipe; its optimiser is AdamW.
    names : sequence of M str
        What each is called in an error message.
    span : Span
        Where in longer runs these steps lie.
    moments : mapping, optional
        From :meth:`LoraStack.moments`, what the optimiser goes on from.

    Returns
    -------
    list of M TrainingLog
        Each with its share of the time.

    Raises
    ------
    RunError
        If a loss is not finite or explodes, or the last step leaves weights that are not finite; the sentence
        names the LoRA and the step.
    """
    optimizer = OPTIMIZERS[config.optimizer](stack.parameters, config)
    schedule = make_schedule(optimizer, config, span.whole(n_steps), span.since)
    for parameter, kept in (moments or {}).items():
        optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in kept.items()}
    limit = config.max_loss or 4 * math.log(model.vocabulary_size)
    losses = np.empty((n_steps, len(names)))
    tokens = [0] * len(names)
    counts: list[list[dict[str, int]]] = [[] for _ in names]
    last: Awaited | None = None
    begin = time.perf_counter()
    with stack.attached(model.base):
        for step in range(n_steps):
            batches = [next(stream) for stream in streams]
            here = _backward(model, stack, batches, config)
            if last is not None:  # of the step before, while the device is at this one
                losses[step - 1] = _checked(last, names, limit, step - 1, n_steps)
            last = here
            for index, batch in enumerate(batches):
                tokens[index] += sum(map(len, batch))
                counts[index].append(as_task_batch(batch).counts)
            if config.clip is not None:
                clip_each(stack.parameters, config.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            tell_step(step + 1, n_steps)
        if last is not None:
            losses[-1] = _checked(last, names, limit, n_steps - 1, n_steps)
    _check_finite(stack, names, n_steps)
    seconds = (time.perf_counter() - begin) / len(names)
    return [
        TrainingLog(tuple(losses[:, index].tolist()), tokens[index], seconds, tuple(counts[index]))
        for index in range(len(names))
    ]


def _checked(
    last: Awaited, names: Sequence[str], limit: float, step: int, n_steps: int
) -> NDArray[np.float64]:
    """Return the losses of a step, each checked."""
    losses = last.read()
    for name, loss in zip(names, losses, strict=True):
        try:
            check_loss(loss, limit, step, n_steps)
        except RunError as error:
            raise RunError(f"{name}: {error}") from error
    return np.asarray(losses)


def _backward(
    model: LanguageModel, stack: LoraStack, batches: Sequence[Sequence[Encoded]], config: TrainingConfig
) -> Awaited:
    """Add up the gradients of each LoRA's mean loss per target token; return the losses on their way."""
    examples = [example for batch in batches for example in batch]

    def forget() -> None:
        for parameter in stack.parameters:
            parameter.grad = None

    return in_parts(
        model,
        examples,
        pass_tokens(model.device.type, config),
        lambda held: _passes(model, stack, batches, examples, config, held),
        what="training",
        forget=forget,
    )


def _passes(
    model: LanguageModel,
    stack: LoraStack,
    batches: Sequence[Sequence[Encoded]],
    examples: Sequence[Encoded],
    config: TrainingConfig,
    held: int,
) -> Awaited:
    owners = [index for index, batch in enumerate(batches) for _ in batch]
    device, half = model.device, model.dtype == torch.bfloat16
    n_targets = sent(torch.tensor([sum(len(e.target) for e in batch) for batch in batches]), device)
    total = torch.zeros(len(batches), device=device)
    for indices in model.chunks(examples, held):
        own = [owners[i] for i in indices]
        batch = model.batch([examples[i] for i in indices], owners=own)
        of_target = sent(torch.tensor(own), device)[batch.example]
        of_row = torch.zeros(len(batch.inputs["input_ids"]), dtype=torch.long, device=device)
        of_row[batch.row] = of_target
        with (
            stack.rows(of_row),
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=half),
        ):
            losses = model.target_losses(model.base, batch, label_smoothing=config.label_smoothing)
        shares = torch.zeros_like(total).index_add(0, of_target, losses) / n_targets
        shares.sum().backward()  # type: ignore[no-untyped-call]
        total += shares.detach()
    return Awaited(total)


def _check_finite(stack: LoraStack, names: Sequence[str], n_steps: int) -> None:
    finite = torch.stack([p.isfinite().flatten(1).all(1) for p in stack.parameters]).all(0)
    for name, good in zip(names, finite.tolist(), strict=True):
        if not good:
            raise overflow(n_steps, f"{name}: ")
