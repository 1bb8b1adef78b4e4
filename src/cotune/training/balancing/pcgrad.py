"""PCGrad: gradients of tasks that point against one another are made orthogonal first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cotune.training.balancing._balancing import Balancing

if TYPE_CHECKING:
    from torch import Tensor


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
                along = projected[i] @ directions[j]
                if i != j and along < 0:
                    projected[i] -= along / norms[j] * directions[j]
        return projected.sum(0)
