"""The grouping algorithms by name."""

from __future__ import annotations

from cotune.grouping._estimator import SDPClustering
from cotune.grouping.baselines import LloydGrouping, SpectralGrouping

GROUPERS: dict[str, type[SDPClustering] | type[SpectralGrouping] | type[LloydGrouping]] = {
    "sdp": SDPClustering,
    "spectral": SpectralGrouping,
    "lloyd": LloydGrouping,
}
"""Grouping algorithms by name, all with ``fit``, ``labels_``, ``n_clusters_`` and ``objective_``."""
