"""Which tasks should be trained together, and what instruction tuning does to a language model."""

__version__ = "0.1.0"
