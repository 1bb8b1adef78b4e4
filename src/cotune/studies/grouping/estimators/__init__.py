"""Affinity estimators as a study knows them: which runs they need, and what they make of them.

A new one is a file here and a line in :data:`ESTIMATORS`; its arithmetic lives in ``cotune.affinity``.
"""

from cotune._registry import Registry
from cotune.studies.grouping._found import FoundGroups
from cotune.studies.grouping.estimators._base import (
    Estimate,
    Estimator,
    Memory,
    NegativeTransferScore,
    Round,
    Rounds,
    Trust,
)
from cotune.studies.grouping.estimators._table import run_scores
from cotune.studies.grouping.estimators.adaptive import Adaptive
from cotune.studies.grouping.estimators.calibrated import Calibrated
from cotune.studies.grouping.estimators.first_order import FirstOrder
from cotune.studies.grouping.estimators.gradient_cosine import GradientCosine
from cotune.studies.grouping.estimators.higher_order import HigherOrder
from cotune.studies.grouping.estimators.kernel_surrogate import KernelSurrogate
from cotune.studies.grouping.estimators.linear_surrogate import LinearSurrogate
from cotune.studies.grouping.estimators.lookahead import Lookahead
from cotune.studies.grouping.estimators.pairwise import Pairwise
from cotune.studies.grouping.estimators.paper_adaptive import PaperAdaptive

ESTIMATORS: Registry[Estimator] = Registry(
    Estimator,
    key="estimator",
    group="cotune.estimators",
    classes={
        "adaptive": Adaptive,
        "calibrated": Calibrated,
        "first_order": FirstOrder,
        "gradient_cosine": GradientCosine,
        "higher_order": HigherOrder,
        "kernel_surrogate": KernelSurrogate,
        "linear_surrogate": LinearSurrogate,
        "lookahead": Lookahead,
        "pairwise": Pairwise,
        "paper_adaptive": PaperAdaptive,
    },
)
"""The names a study file may write under ``affinity.estimator``."""

__all__ = [
    "ESTIMATORS",
    "Adaptive",
    "Calibrated",
    "Estimate",
    "Estimator",
    "FirstOrder",
    "FoundGroups",
    "GradientCosine",
    "HigherOrder",
    "KernelSurrogate",
    "LinearSurrogate",
    "Lookahead",
    "Memory",
    "NegativeTransferScore",
    "Pairwise",
    "PaperAdaptive",
    "Round",
    "Rounds",
    "Trust",
    "run_scores",
]
