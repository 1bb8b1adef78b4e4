"""Tuning of normalisation layers alone (Zhao et al. 2023, arXiv 2312.11420)."""

from __future__ import annotations

from contextlib import contextmanager

from cotune.training.methods import Attached, Method


class Norms(Method):
    """The gains of all normalisation layers, in float32 while they are trained."""

    @contextmanager
    def attach(self, model, tasks=()):
        """Let the gains be trained as copies; leaving the context brings the old ones back."""
        gains = [p for name, p in model.base.named_parameters() if p.dim() == 1 and "norm" in name]
        shipped = [gain.data for gain in gains]
        try:
            for gain in gains:
                gain.data = gain.data.float().clone()
                gain.requires_grad_(True)
            yield Attached(model.base, {"weights": gains}, model.save_pretrained)
        finally:
            for gain, data in zip(gains, shipped, strict=True):
                gain.data, gain.grad = data, None
            model.base.requires_grad_(False).eval()
