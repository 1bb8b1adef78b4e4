"""Full fine-tuning: every weight of the base is trained."""

from cotune.training.methods.full._full import Full

__all__ = ["Full"]
