"""The grouping algorithms by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cotune.grouping._estimator import SDPClustering
    from cotune.grouping.baselines import LloydGrouping, SpectralGrouping

    Grouper: TypeAlias = type[SDPClustering] | type[SpectralGrouping] | type[LloydGrouping]

_CLASSES = {"sdp": "SDPClustering", "spectral": "SpectralGrouping", "lloyd": "LloydGrouping"}


class _Groupers(Mapping[str, "Grouper"]):
    """Estimators that are loaded when one is asked for: scikit-learn takes longer than a study's status."""

    def __getitem__(self, name: str) -> Grouper:
        grouper: Grouper = getattr(import_module("cotune.grouping"), _CLASSES[name])
        return grouper

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


GROUPERS: Mapping[str, Grouper] = _Groupers()
"""Grouping algorithms by name, all with ``fit``, ``labels_``, ``n_clusters_`` and ``objective_``."""
