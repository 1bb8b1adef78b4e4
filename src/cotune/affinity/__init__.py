"""Task affinity: how much training with one task helps another. Arrays in, arrays out; no torch.

An estimator takes what was measured (scores of runs, or features of tasks) and returns an
:class:`Affinity`: the matrix, how often each entry was measured, and its standard error.

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.affinity._affinity import Affinity
    from cotune.affinity._calibrated import Calibrated, calibrated
    from cotune.affinity._gradient_cosine import gradient_cosine
    from cotune.affinity._group_runs import group_runs
    from cotune.affinity._higher_order import higher_order
    from cotune.affinity._lookahead import lookahead
    from cotune.affinity._mixed_sizes import mixed_sizes
    from cotune.affinity._pairwise import gains, pairwise
    from cotune.affinity._regroup import Propose
    from cotune.affinity._reliability import Reliability, reliability
    from cotune.affinity.adagroup import AdaGroup, Relax
    from cotune.affinity.adaptive import AdaptiveGrouping
    from cotune.affinity.agreement import rank_agreement, within_task_correlation
    from cotune.affinity.company_surrogate import CompanySurrogate
    from cotune.affinity.evidence import GroupEvidence
    from cotune.affinity.first_order import FirstOrder, Linearised
    from cotune.affinity.first_order_gain import FirstOrderGain
    from cotune.affinity.gain_posterior import GainPosterior
    from cotune.affinity.gain_predictors import PREDICTORS, GainPredictor, SizedEffects
    from cotune.affinity.gain_units import TaskGains, task_gains, without_own_score
    from cotune.affinity.kernel_surrogate import KernelSurrogate
    from cotune.affinity.linear_surrogate import LinearSurrogate, eq8_factor
    from cotune.affinity.negative_transfer import TransferF1, f1_by_size, mean_of_pairs
    from cotune.affinity.predicted_gain import PredictedGain
    from cotune.affinity.subsets import cover_pairs, fewest_covering, spread_tasks
    from cotune.affinity.tables import Table, read_table, table_of

_HOMES = {
    "AdaGroup": "adagroup",
    "AdaptiveGrouping": "adaptive",
    "Affinity": "_affinity",
    "Calibrated": "_calibrated",
    "CompanySurrogate": "company_surrogate",
    "FirstOrder": "first_order",
    "FirstOrderGain": "first_order_gain",
    "GainPosterior": "gain_posterior",
    "GainPredictor": "gain_predictors",
    "GroupEvidence": "evidence",
    "KernelSurrogate": "kernel_surrogate",
    "LinearSurrogate": "linear_surrogate",
    "Linearised": "first_order",
    "PREDICTORS": "gain_predictors",
    "PredictedGain": "predicted_gain",
    "Propose": "_regroup",
    "Relax": "adagroup",
    "Reliability": "_reliability",
    "SizedEffects": "gain_predictors",
    "Table": "tables",
    "TaskGains": "gain_units",
    "TransferF1": "negative_transfer",
    "calibrated": "_calibrated",
    "cover_pairs": "subsets",
    "eq8_factor": "linear_surrogate",
    "f1_by_size": "negative_transfer",
    "fewest_covering": "subsets",
    "gains": "_pairwise",
    "gradient_cosine": "_gradient_cosine",
    "group_runs": "_group_runs",
    "higher_order": "_higher_order",
    "lookahead": "_lookahead",
    "mean_of_pairs": "negative_transfer",
    "mixed_sizes": "_mixed_sizes",
    "pairwise": "_pairwise",
    "rank_agreement": "agreement",
    "read_table": "tables",
    "reliability": "_reliability",
    "spread_tasks": "subsets",
    "table_of": "tables",
    "task_gains": "gain_units",
    "within_task_correlation": "agreement",
    "without_own_score": "gain_units",
}

__all__ = [
    "PREDICTORS",
    "AdaGroup",
    "AdaptiveGrouping",
    "Affinity",
    "Calibrated",
    "CompanySurrogate",
    "FirstOrder",
    "FirstOrderGain",
    "GainPosterior",
    "GainPredictor",
    "GroupEvidence",
    "KernelSurrogate",
    "LinearSurrogate",
    "Linearised",
    "PredictedGain",
    "Propose",
    "Relax",
    "Reliability",
    "SizedEffects",
    "Table",
    "TaskGains",
    "TransferF1",
    "calibrated",
    "cover_pairs",
    "eq8_factor",
    "f1_by_size",
    "fewest_covering",
    "gains",
    "gradient_cosine",
    "group_runs",
    "higher_order",
    "lookahead",
    "mean_of_pairs",
    "mixed_sizes",
    "pairwise",
    "rank_agreement",
    "read_table",
    "reliability",
    "spread_tasks",
    "table_of",
    "task_gains",
    "within_task_correlation",
    "without_own_score",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
