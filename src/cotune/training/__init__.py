"""Training: one loop, the methods that run on it, and the Learner protocol."""

from cotune.training.learner import (
    FeatureLearner,
    Fit,
    Learner,
    LinearisedLearner,
    LookaheadLearner,
    Score,
    SideBySideLearner,
    SplitsLearner,
    Subset,
)

__all__ = [
    "FeatureLearner",
    "Fit",
    "Learner",
    "LinearisedLearner",
    "LookaheadLearner",
    "Score",
    "SideBySideLearner",
    "SplitsLearner",
    "Subset",
]
