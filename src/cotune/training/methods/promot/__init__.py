"""ProMoT (prompt tuning with model tuning): first a soft prompt, then the model under the frozen prompt."""

from cotune.training.methods.promot._promot import Promot

__all__ = ["Promot"]
