"""What models that are trained side by side have in common, each parameter a stack of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotune._repr import Brief
from cotune.exceptions import InputError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Trial(Brief):
    """What a step of several models took on a device, in one pass and one after the other.

    Parameters
    ----------
    device : str
        Kind of device.
    models : int
        How many they were.
    together, alone : float
        Seconds of a step of all of them.
    """

    device: str
    models: int
    together: float
    alone: float

    @property
    def width(self) -> int:
        """How many models a pass holds from here on: these, where that took less time, else 1."""
        return self.models if self.together < self.alone else 1

    def __str__(self) -> str:
        """Say what was measured, and what follows."""
        chosen = f"{self.models} to a pass" if self.width > 1 else "one at a time"
        return (
            f"A step of {self.models} LoRAs took {1000 * self.together:.3g} ms in one pass and "
            f"{1000 * self.alone:.3g} ms one after the other ({self.device}): they are trained {chosen}."
        )


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
