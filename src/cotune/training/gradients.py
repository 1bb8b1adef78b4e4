"""Gradients of losses of single examples over whatever a method trains, alone and averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cotune.models import Encoded, LanguageModel
from cotune.training.methods import Attached
from cotune.training.sketch import Sketch


def mean_gradient(
    model: LanguageModel,
    attached: Attached,
    parameters: Sequence[nn.Parameter],
    examples: Sequence[Encoded],
    *,
    pass_tokens: int,
) -> NDArray[np.float32]:
    """Average over examples the gradient of each one's mean loss per target token.

    Parameters
    ----------
    model : LanguageModel
        Encodes batches for the module.
    attached : Attached
        Its base with what a method put on it.
    parameters : sequence of Parameter
        Those of the method's to differentiate by.
    examples : sequence of Encoded
        All with a target.
    pass_tokens : int
        About how many tokens one backward pass may hold.

    Returns
    -------
    ndarray of float32, shape (p,)
        The gradient over all parameters in their order.
    """
    with _only(attached, parameters):
        for indices in model.chunks(examples, pass_tokens):
            losses = _example_losses(model, attached.module, [examples[i] for i in indices])
            (losses.sum() / len(examples)).backward()  # type: ignore[no-untyped-call]
        return _flat_gradient(parameters)


def example_gradients(
    model: LanguageModel,
    attached: Attached,
    parameters: Sequence[nn.Parameter],
    examples: Sequence[Encoded],
    sketch: Sketch,
    *,
    pass_tokens: int,
    together: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Compute the loss of every example and its projected gradient.

    Where all parameters are weights of linear maps, which those of a LoRA are, the examples of a pass have
    their gradients together: that of an example is the sum over its tokens of the outer products of the map's
    output gradient and input. Otherwise every example has a pass of its own. Examples have a row each, since
    what shares a prefix shares its gradient.

    Parameters
    ----------
    model, attached, parameters, examples, pass_tokens
        As in :func:`mean_gradient`.
    sketch : Sketch
        The projection, of as many coordinates as all parameters have.
    together : bool
        Whether examples may share a pass.

    Returns
    -------
    losses : ndarray of shape (n,)
        Mean loss per target token of each example, in nats.
    gradients : ndarray of float32, shape (n, d)
        Its projected gradient.
    """
    module = attached.module
    maps = _linear_maps(module, parameters) if together else None
    losses = np.empty(len(examples))
    gradients = np.empty((len(examples), sketch.dimension), dtype=np.float32)
    with model.one_example_a_row(), _only(attached, () if maps else parameters):
        passes = model.chunks(examples, pass_tokens) if maps else ([i] for i in range(len(examples)))
        for indices in passes:
            chosen = [examples[i] for i in indices]
            if maps:
                values, rows = _together(model, module, maps, chosen)
            else:
                values, rows = _alone(model, module, parameters, chosen)
            losses[indices] = values
            for index, row in zip(indices, rows, strict=True):
                gradients[index] = sketch(row)
    return losses, gradients


def _alone(
    model: LanguageModel, module: nn.Module, parameters: Sequence[nn.Parameter], examples: Sequence[Encoded]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    for parameter in parameters:
        parameter.grad = None
    losses = _example_losses(model, module, examples)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    return losses.detach().double().cpu().numpy(), _flat_gradient(parameters)[None]


def _together(
    model: LanguageModel, module: nn.Module, maps: Sequence[nn.Linear], examples: Sequence[Encoded]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    with _recorded(maps, len(examples)) as recorded:
        losses = _example_losses(model, module, examples)
        losses.sum().backward()  # type: ignore[no-untyped-call]
    rows = torch.cat([gradient.flatten(1) for gradient in recorded], dim=1)
    return losses.detach().double().cpu().numpy(), np.asarray(rows.cpu().numpy(), dtype=np.float32)


@contextmanager
def _recorded(maps: Sequence[nn.Linear], n_examples: int) -> Iterator[list[torch.Tensor]]:
    """Gather the gradient of each map's weight by example, as (examples, out, in), in a backward pass."""
    gradients = [
        torch.zeros(n_examples, *m.weight.shape, device=m.weight.device, dtype=torch.float32) for m in maps
    ]

    def hook(total: torch.Tensor) -> Any:
        def after(_: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            inputs = args[0].detach()

            def add(slope: torch.Tensor) -> None:
                by_example = [x.reshape(n_examples, -1, x.shape[-1]).float() for x in (slope, inputs)]
                total.baddbmm_(by_example[0].mT, by_example[1])

            # The weights are frozen meanwhile: before the first map nothing requires a gradient.
            differentiated = output if output.requires_grad else output.requires_grad_()
            differentiated.register_hook(add)  # type: ignore[no-untyped-call]

        return after

    hooks = [m.register_forward_hook(hook(total)) for m, total in zip(maps, gradients, strict=True)]
    try:
        yield gradients
    finally:
        for one in hooks:
            one.remove()


def _linear_maps(module: nn.Module, parameters: Sequence[nn.Parameter]) -> list[nn.Linear] | None:
    """Find the linear maps whose weights the parameters are; None where there is anything else."""
    modules = list(module.modules())
    uses = Counter(id(p) for m in modules for p in m.parameters(recurse=False))
    maps = {id(m.weight): m for m in modules if type(m) is nn.Linear and uses[id(m.weight)] == 1}
    if not all(id(parameter) in maps for parameter in parameters):
        return None
    return [maps[id(parameter)] for parameter in parameters]


def _example_losses(model: LanguageModel, module: nn.Module, examples: Sequence[Encoded]) -> torch.Tensor:
    """Mean loss per target token of every example, with a graph."""
    batch = model.batch(examples)
    losses = model.target_losses(module, batch)
    share = torch.bincount(batch.example, minlength=batch.n_examples).float().reciprocal()
    zeros = torch.zeros(batch.n_examples, device=losses.device)
    return zeros.index_add(0, batch.example, losses * share[batch.example])


@contextmanager
def _only(attached: Attached, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let some of the method's parameters require gradients and no others; no gradient is left behind."""
    before = [(parameter, parameter.requires_grad) for parameter in attached.parameters]
    chosen = {id(parameter) for parameter in parameters}
    try:
        for parameter, _ in before:
            parameter.requires_grad_(id(parameter) in chosen)
            parameter.grad = None
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)
            parameter.grad = None


def _flat_gradient(parameters: Sequence[nn.Parameter]) -> NDArray[np.float32]:
    parts = [p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters]
    return np.asarray(torch.cat([part.float() for part in parts]).cpu().numpy(), dtype=np.float32)
