"""Prefix tuning (Li and Liang 2021) through PEFT: trainable keys and values before those of the input."""

from cotune.training.methods.prefix._prefix import Prefix

__all__ = ["Prefix"]
