"""Training: one loop, the methods that run on it, and the Learner protocol."""

from cotune.training.learner import (
    EnsembleLearner,
    FeatureLearner,
    Fit,
    Learner,
    LinearisedLearner,
    LookaheadLearner,
    Score,
    Subset,
)

__all__ = [
    "EnsembleLearner",
    "FeatureLearner",
    "Fit",
    "Learner",
    "LinearisedLearner",
    "LookaheadLearner",
    "Score",
    "Subset",
]
