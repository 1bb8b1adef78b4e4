"""What models that are trained side by side need, each parameter a stack of theirs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def clip_each(parameters: Sequence[nn.Parameter], limit: float) -> None:
    """Shrink the gradient of each model to a norm of at most ``limit``, as ``clip_grad_norm_`` does for one.

    Parameters
    ----------
    parameters : sequence of Parameter of shape (M, ...)
        All parameters of M models, stacked.
    limit : float
        Largest norm of a model's gradient over all of its parameters.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    shrink = (limit / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(shrink.view(-1, *[1] * (gradient.ndim - 1)))
