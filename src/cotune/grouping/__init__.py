"""Group tasks by their affinities: certified, with the number of groups chosen from the data.

Arrays in, labels out; numpy and scipy alone, and scikit-learn where one of its estimators is asked for.
Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.grouping._certified import CertifiedGrouping
    from cotune.grouping._estimator import SDPClustering
    from cotune.grouping._groupers import GROUPERS
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
    from cotune.grouping.shrinkage import Shrunk, shrink
    from cotune.grouping.stability import Stability, bootstrap

_HOMES = {
    "CertifiedGrouping": "_certified",
    "ExactPartition": "exact",
    "GROUPERS": "_groupers",
    "KPath": "number_of_groups",
    "K_RULES": "number_of_groups",
    "LloydGrouping": "baselines",
    "OverlappingGroups": "overlapping",
    "Prepared": "preparation",
    "Progress": "_solution",
    "ROUNDINGS": "rounding",
    "SDPClustering": "_estimator",
    "Shrunk": "shrinkage",
    "SpectralGrouping": "baselines",
    "Stability": "stability",
    "all_groups": "gain_partition",
    "best_gain_partition": "gain_partition",
    "bootstrap": "stability",
    "choose_k": "number_of_groups",
    "default_k_rule": "number_of_groups",
    "density": "_partition",
    "exact_partitions": "exact",
    "exhaustive": "exact",
    "first_appearance": "_partition",
    "gain_bound": "gain_bounds",
    "objective": "_partition",
    "prepare": "preparation",
    "search_gain_partition": "gain_search",
    "select_overlapping": "overlapping",
    "shrink": "shrinkage",
    "sized_gain": "gain_partition",
}

__all__ = [
    "GROUPERS",
    "K_RULES",
    "ROUNDINGS",
    "CertifiedGrouping",
    "ExactPartition",
    "KPath",
    "LloydGrouping",
    "OverlappingGroups",
    "Prepared",
    "Progress",
    "SDPClustering",
    "Shrunk",
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
    "shrink",
    "sized_gain",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
