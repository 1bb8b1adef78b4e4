"""Soft prompt and weights trained together: the ablation of ProMoT (section 5.4)."""

from cotune.training.methods.joint._joint import Joint

__all__ = ["Joint"]
