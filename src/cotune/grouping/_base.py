"""What the certified grouping and the baselines share: reading the input, k, and the numbering of groups."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.grouping._partition import Labels, Matrix, refuse_bad_k
from cotune.grouping._validation import check_affinity
from cotune.grouping.number_of_groups import (
    KPath,
    choose_k,
    default_k_max,
    default_k_rule,
    refuse_bad_rule,
)

AFFINITIES = ("precomputed", "linear", "cosine")


class BaseGrouping(Brief):
    """Base of all groupings; see :class:`SDPClustering` for the meaning of the shared parameters."""

    n_clusters: int | str
    affinity: str
    k_max: int | None
    k_rule: str | None
    random_state: int | np.random.RandomState | None

    labels_: Labels
    n_clusters_: int
    k_rule_: str
    k_path_: list[dict[str, Any]]
    k_choices_: dict[str, int]
    k_weights_: dict[int, float]

    def _read(self, X: ArrayLike) -> Matrix:
        """Return the affinity matrix, precomputed or of feature vectors."""
        if self.affinity not in AFFINITIES:
            raise InputError(
                f"The 'affinity' parameter of {type(self).__name__} must be one of {list(AFFINITIES)}, "
                f"got {self.affinity!r} instead."
            )
        self._take_names(X)
        if self.affinity == "precomputed":
            matrix: Matrix = check_affinity(X)
            self.n_features_in_ = matrix.shape[1]
            return matrix
        from sklearn.metrics.pairwise import pairwise_kernels  # slow to import, and only features need them
        from sklearn.utils.validation import check_array

        features = check_array(X, dtype=np.float64)
        self.n_features_in_ = features.shape[1]
        return np.asarray(pairwise_kernels(features, metric=self.affinity))

    def _take_names(self, X: ArrayLike) -> None:
        """Keep the names of a data frame's columns, as scikit-learn's estimators do."""
        columns = getattr(X, "columns", ())
        if len(columns) and all(isinstance(name, str) for name in columns):
            self.feature_names_in_ = np.asarray(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _generator(self) -> np.random.Generator:
        state = self.random_state
        if state is None:
            return np.random.default_rng(np.random.randint(2**31 - 1))
        if not isinstance(state, np.random.RandomState):
            state = np.random.RandomState(state)
        return np.random.default_rng(state.randint(2**31 - 1))

    def _resolve_k(
        self, T: Matrix, rng: np.random.Generator, weights: Matrix | None = None
    ) -> tuple[int, KPath | None]:
        """Return k, and the path it was chosen on unless it was given."""
        n, name = len(T), type(self).__name__
        self.k_rule_ = default_k_rule(n) if self.k_rule is None else refuse_bad_rule(self.k_rule)
        if self.n_clusters != "auto":
            if isinstance(self.n_clusters, str):
                raise InputError(
                    f"The 'n_clusters' parameter of {name} must be an integer or \"auto\", "
                    f"got {self.n_clusters!r} instead."
                )
            k = refuse_bad_k(self.n_clusters, n, name)
            self.k_path_, self.k_choices_, self.k_weights_ = [], {}, {}
            return k, None
        k_max = default_k_max(n, self.k_rule_) if self.k_max is None else self.k_max
        if not isinstance(k_max, (int, np.integer)) or k_max < 1:
            raise InputError(
                f"The 'k_max' parameter of {name} must be None or an integer of at least 1, "
                f"got {k_max!r} instead."
            )
        path = choose_k(
            T,
            min(int(k_max), n),
            rng,
            rule=self.k_rule_,
            weights=weights,
            progress=self._choosing,
        )
        self.k_path_, self.k_choices_, self.k_weights_ = path.records, path.chosen, path.weights
        return path.chosen[self.k_rule_], path

    def _choosing(self, k: int, summed_density: float) -> None:
        """Hear that one more k has been tried."""

    def __repr_args__(self) -> Iterable[tuple[str, Any]]:
        given = {name: of.default for name, of in signature(type(self)).parameters.items()}
        return [(name, getattr(self, name)) for name in given if getattr(self, name) is not given[name]]
