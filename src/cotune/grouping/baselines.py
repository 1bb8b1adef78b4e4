"""The two conventional algorithms that the paper compares with, behind the interface of SDPClustering."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans, SpectralClustering

from cotune.grouping._base import BaseGrouping
from cotune.grouping._partition import Labels, Matrix, first_appearance, objective, symmetrised
from cotune.grouping._sklearn import Estimator
from cotune.grouping.rounding import fill_empty


class _Baseline(Estimator, BaseGrouping):
    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        affinity: str = "precomputed",
        k_max: int | None = None,
        k_rule: str | None = None,
        n_init: int = 10,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.affinity = affinity
        self.k_max = k_max
        self.k_rule = k_rule
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> _Baseline:
        """Group the tasks.

        Parameters
        ----------
        X : array-like of shape (n, n), or (n, d) when ``affinity`` is not "precomputed"
            Task affinities.
        y : ignored
            For the scikit-learn interface.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        InputError
            As :meth:`SDPClustering.fit`.
        """
        T = self._read(X)
        rng = self._generator()
        k, _ = self._resolve_k(T, rng)
        if k in (1, len(T)):
            labels = np.minimum(np.arange(len(T), dtype=np.intp), k - 1)
        else:
            labels = fill_empty(self._cluster(T, k, int(rng.integers(2**31 - 1))), k, rng)
        self.labels_ = first_appearance(labels)
        self.n_clusters_ = k
        self.objective_ = objective(T, self.labels_)
        return self

    def _cluster(self, T: Matrix, k: int, seed: int) -> Labels:
        raise NotImplementedError


class SpectralGrouping(_Baseline):
    """Spectral clustering of the affinities (Ng, Jordan and Weiss, 2001), the paper's "spectral".

    Takes sym(T) as the weights of a graph, shifted so that the smallest is zero when some are negative.

    Parameters
    ----------
    n_clusters, affinity, k_max, k_rule, random_state
        As in :class:`SDPClustering`; ``"auto"`` chooses the same k as there.
    n_init : int
        Starts of the k-means on the eigenvectors.

    Attributes
    ----------
    labels_ : ndarray of shape (n,)
        Groups numbered by first appearance.
    n_clusters_ : int
        Number of groups.
    objective_ : float
        Sum of the group densities (Eq. 3), which this algorithm does not maximise.
    """

    def _cluster(self, T: Matrix, k: int, seed: int) -> Labels:
        weights = symmetrised(T)
        if weights.min() < 0:
            weights -= weights.min()
        model = SpectralClustering(k, affinity="precomputed", n_init=self.n_init, random_state=seed)
        return np.asarray(model.fit_predict(weights), dtype=np.intp)


class LloydGrouping(_Baseline):
    """Lloyd's algorithm (k-means) on the rows of T, the paper's "Lloyd".

    Parameters
    ----------
    n_clusters, affinity, k_max, k_rule, random_state
        As in :class:`SDPClustering`; ``"auto"`` chooses the same k as there.
    n_init : int
        Starts of the k-means.

    Attributes
    ----------
    labels_ : ndarray of shape (n,)
        Groups numbered by first appearance.
    n_clusters_ : int
        Number of groups.
    objective_ : float
        Sum of the group densities (Eq. 3), which this algorithm does not maximise.
    """

    def _cluster(self, T: Matrix, k: int, seed: int) -> Labels:
        model = KMeans(k, n_init=self.n_init, random_state=seed)
        return np.asarray(model.fit_predict(T), dtype=np.intp)
