"""Tasks in planted groups whose scores follow a formula: as many as wanted, in no time."""

from cotune.lab.planted._config import PlantedConfig
from cotune.lab.planted._learner import PlantedLearner

__all__ = ["PlantedConfig", "PlantedLearner"]
