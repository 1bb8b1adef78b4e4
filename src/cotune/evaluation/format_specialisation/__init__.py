"""Format specialisation: whether a tuned model answers everything in the format of the task it was tuned on."""

from cotune.evaluation.format_specialisation._types import ModuleAlignment

__all__ = ["ModuleAlignment"]
