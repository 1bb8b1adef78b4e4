"""Group tasks by their affinities: certified, with the number of groups chosen from the data.

Arrays in, labels out; numpy, scipy and scikit-learn only.
"""

from cotune.grouping._estimator import SDPClustering
from cotune.grouping._partition import density, first_appearance, objective
from cotune.grouping._solution import Progress
from cotune.grouping.baselines import LloydGrouping, SpectralGrouping
from cotune.grouping.exact import ExactPartition, exact_partitions, exhaustive
from cotune.grouping.gain_bounds import gain_bound
from cotune.grouping.gain_partition import all_groups, best_gain_partition, sized_gain
from cotune.grouping.gain_search import search_gain_partition
from cotune.grouping.number_of_groups import K_RULES, KPath, choose_k, default_k_rule
from cotune.grouping.overlapping import OverlappingGroups, select_overlapping
from cotune.grouping.preparation import Prepared, prepare
from cotune.grouping.rounding import ROUNDINGS
from cotune.grouping.stability import Stability, bootstrap

GROUPERS: dict[str, type[SDPClustering] | type[SpectralGrouping] | type[LloydGrouping]] = {
    "sdp": SDPClustering,
    "spectral": SpectralGrouping,
    "lloyd": LloydGrouping,
}
"""Grouping algorithms by name, all with ``fit``, ``labels_``, ``n_clusters_`` and ``objective_``."""

__all__ = [
    "GROUPERS",
    "K_RULES",
    "ROUNDINGS",
    "ExactPartition",
    "KPath",
    "LloydGrouping",
    "OverlappingGroups",
    "Prepared",
    "Progress",
    "SDPClustering",
    "SpectralGrouping",
    "Stability",
    "all_groups",
    "best_gain_partition",
    "bootstrap",
    "choose_k",
    "default_k_rule",
    "density",
    "exact_partitions",
    "exhaustive",
    "first_appearance",
    "gain_bound",
    "objective",
    "prepare",
    "search_gain_partition",
    "select_overlapping",
    "sized_gain",
]
