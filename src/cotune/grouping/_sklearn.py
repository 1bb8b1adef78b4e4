"""What makes an estimator for scikit-learn of a grouping."""

from __future__ import annotations

from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import Tags


class Estimator(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Stands before a :class:`~cotune.grouping._base.BaseGrouping`: parameters, clones, ``fit_predict``."""

    affinity: str

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.affinity == "precomputed"
        return tags
