"""What models that are trained side by side have in common, each parameter a stack of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cotune.exceptions import InputError

if TYPE_CHECKING:
    from torch import nn


def passes(subsets: int, seeds: int, steps: Sequence[int], size: int) -> Iterator[list[int]]:
    """Split runs into passes of at most ``size`` runs of equal length.

    Parameters
    ----------
    subsets, seeds : int
        How many there are.
    steps : sequence of int
        Length of each run.
    size : int
        Most runs in a pass.

    Yields
    ------
    list of int
        Indices of the runs of a pass.

    Raises
    ------
    InputError
        If there is not a seed and a length for every subset.
    """
    if not subsets == seeds == len(steps):
        raise InputError(
            "Every subset needs one seed and one number of steps, got "
            f"{subsets} subsets, {seeds} seeds and {len(steps)} numbers of steps."
        )
    for length in sorted(set(steps)):
        runs = [run for run, asked in enumerate(steps) if asked == length]
        yield from (runs[start : start + size] for start in range(0, len(runs), size))


def clip_each(parameters: Sequence[nn.Parameter], limit: float) -> None:
    """Shrink the gradient of each model to a norm of at most ``limit``, as ``clip_grad_norm_`` does for one.

    Parameters
    ----------
    parameters : sequence of Parameter of shape (M, ...)
        All parameters of M models, stacked.
    limit : float
        Largest norm of a model's gradient over all of its parameters.
    """
    import torch

    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    shrink = (limit / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(shrink.view(-1, *[1] * (gradient.ndim - 1)))
