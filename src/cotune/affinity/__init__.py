"""Task affinity: how much training with one task helps another. Arrays in, arrays out; no torch.

An estimator takes what was measured (scores of runs, or features of tasks) and returns an
:class:`Affinity`: the matrix, how often each entry was measured, and its standard error.
"""

from cotune.affinity._affinity import Affinity
from cotune.affinity._regroup import Propose
from cotune.affinity.adaptive import AdaptiveGrouping
from cotune.affinity.agreement import rank_agreement, within_task_correlation
from cotune.affinity.calibrated import Calibrated, calibrated
from cotune.affinity.company_surrogate import CompanySurrogate
from cotune.affinity.evidence import GroupEvidence
from cotune.affinity.first_order import FirstOrder, Linearised
from cotune.affinity.gain_posterior import GainPosterior
from cotune.affinity.gain_predictors import PREDICTORS, GainPredictor, SizedEffects
from cotune.affinity.gain_units import TaskGains, task_gains, without_own_score
from cotune.affinity.gradient_cosine import gradient_cosine
from cotune.affinity.group_runs import group_runs
from cotune.affinity.higher_order import higher_order
from cotune.affinity.kernel_surrogate import KernelSurrogate
from cotune.affinity.linear_surrogate import LinearSurrogate, eq8_factor
from cotune.affinity.lookahead import lookahead
from cotune.affinity.mixed_sizes import mixed_sizes
from cotune.affinity.negative_transfer import TransferF1, f1_by_size, mean_of_pairs
from cotune.affinity.pairwise import gains, pairwise
from cotune.affinity.predicted_gain import PredictedGain
from cotune.affinity.reliability import Reliability, reliability
from cotune.affinity.subsets import cover_pairs, fewest_covering, spread_tasks
from cotune.affinity.tables import Table, read_table, table_of

__all__ = [
    "PREDICTORS",
    "AdaptiveGrouping",
    "Affinity",
    "Calibrated",
    "CompanySurrogate",
    "FirstOrder",
    "GainPosterior",
    "GainPredictor",
    "GroupEvidence",
    "KernelSurrogate",
    "LinearSurrogate",
    "Linearised",
    "PredictedGain",
    "Propose",
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
