"""Training: one loop, the methods that run on it, and the Learner protocol."""

from cotune.training.learner import Learner, Score, Subset

__all__ = ["Learner", "Score", "Subset"]
