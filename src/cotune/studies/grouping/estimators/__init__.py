"""Affinity estimators as a study knows them: which runs they need, and what they make of them.

A new one is a file here and a line in :data:`ESTIMATORS`; its arithmetic lives in ``cotune.affinity``.
"""

from cotune.studies.grouping.estimators._base import Estimate, Estimator
from cotune.studies.grouping.estimators.gradient_cosine import GradientCosine
from cotune.studies.grouping.estimators.higher_order import HigherOrder

ESTIMATORS: dict[str, type[Estimator]] = {
    "gradient_cosine": GradientCosine,
    "higher_order": HigherOrder,
}
"""The names a study file may write under ``affinity.estimator``."""

__all__ = ["ESTIMATORS", "Estimate", "Estimator", "GradientCosine", "HigherOrder"]
