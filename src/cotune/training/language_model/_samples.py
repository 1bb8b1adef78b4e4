"""How many answers are kept of a model that is saved."""

SAMPLES = 3
"""Examples of a task."""
