"""Balancing: how the tasks of a step share it, as comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveFloat, PositiveInt

from cotune._config import Config
from cotune._registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Balancing(Config):
    """How the tasks of a step share it; its fields are the options."""

    by_gradient: ClassVar[bool] = False
    """Whether :meth:`combine` is asked, which takes a gradient of every task of a step in memory at once."""

    @property
    def by_losses(self) -> bool:
        """Whether :meth:`weights` looks at losses, so that every step has to be waited for."""
        return type(self).weights is not Balancing.weights

    def weights(self, losses: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> Mapping[str, float]:
        """Return by task the factor of its losses in the next step.

        Parameters
        ----------
        losses : sequence of mapping of str to float
            By step done, the loss of each task that it saw.
        tasks : sequence of str
            Those of the next step.
        """
        return dict.fromkeys(tasks, 1.0)

    def combine(self, gradients: Tensor) -> Tensor:
        """Make one gradient of those of the tasks of a step.

        Parameters
        ----------
        gradients : Tensor of shape (tasks, p)
            Each task's share of the gradient of the batch's loss, so that their sum is that gradient.

        Returns
        -------
        Tensor of shape (p,)
        """
        return gradients.sum(0)


class NoBalancing(Balancing):
    """A step goes along the gradient of its batch's mean loss per target token."""


class DynamicWeightAverage(Balancing):
    """Loss balancing, Eq. 7 of Liu et al. (2019), "End-to-End Multi-Task Learning with Attention".

    A task's weight is K exp(r_k / T) / sum_i exp(r_i / T), r_k = L_k(t - 1) / L_k(t - 2), K the number of
    tasks: those whose loss fell least get most. L_k(t) is the task's mean loss over the steps of period t
    that saw it. In the first two periods, and for a task that one of the last two did not see, r_k is 1.
    """

    temperature: PositiveFloat = 2.0
    """T: large gives all tasks the same weight; 2 in the paper."""
    period: PositiveInt = 50
    """Steps of a period; an epoch in the paper."""

    def weights(self, losses: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> Mapping[str, float]:
        """Return the weights by the last two whole periods; over all tasks seen there their mean is 1."""
        last = len(losses) // self.period
        if last < 2:
            return dict.fromkeys(tasks, 1.0)
        older, newer = (self._means(losses, period) for period in (last - 2, last - 1))
        known = {*older, *newer, *tasks}
        ratios = {
            task: newer[task] / older[task] if older.get(task) and task in newer else 1.0 for task in known
        }
        highest = max(ratios.values())
        powers = {task: math.exp((ratio - highest) / self.temperature) for task, ratio in ratios.items()}
        unit = math.fsum(powers.values()) / len(known)
        return {task: powers[task] / unit for task in tasks}

    def _means(self, losses: Sequence[Mapping[str, float]], period: int) -> dict[str, float]:
        values: dict[str, list[float]] = {}
        for step in losses[period * self.period : (period + 1) * self.period]:
            for task, loss in step.items():
                values.setdefault(task, []).append(loss)
        return {task: math.fsum(of_task) / len(of_task) for task, of_task in values.items()}


class PCGrad(Balancing):
    """Gradient surgery, Algorithm 1 of Yu et al. (2020), "Gradient Surgery for Multi-Task Learning".

    For every task i its gradient g_i is taken, and for every other task j in random order, where
    g_i . g_j < 0, its component along g_j is taken off: g_i <- g_i - (g_i . g_j) / |g_j|^2 g_j. The step goes
    along the sum. The g_j are as they were. A batch of one task is left as it is.
    """

    by_gradient: ClassVar[bool] = True

    def combine(self, gradients: Tensor) -> Tensor:
        """Return the sum of the projected gradients; the order is drawn from torch's global generator."""
        import torch

        n_tasks = len(gradients)
        # Only directions are projected on. Brought to a length about 1, by a power of two so that not a bit
        # of the quotient changes, they have squared norms that neither underflow to 0 nor overflow.
        exponents = torch.frexp(gradients.abs().amax(1, keepdim=True)).exponent.clamp(-126, 126)
        directions = torch.ldexp(gradients, -exponents)
        norms = directions.square().sum(1)
        projected = gradients.clone()
        for i in range(n_tasks):
            for j in torch.randperm(n_tasks).tolist():
                if i != j:
                    along = projected[i] @ directions[j]
                    # Chosen on the device: an `if` would wait for it, for each pair.
                    share = torch.where(along < 0, along / norms[j], 0.0)
                    projected[i] -= share * directions[j]
        return projected.sum(0)


BALANCING: Registry[Balancing] = Registry(
    Balancing,
    key="name",
    group="cotune.balancing",
    classes={
        "dwa": DynamicWeightAverage,
        "none": NoBalancing,
        "pcgrad": PCGrad,
    },
)
"""The names a study file may write under ``training.balancing``."""
