"""How likely partitions are before any run."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, logsumexp

from cotune.affinity._entries import Array, Labels

_EVENNESS = 2.0
"""Parameter of the Dirichlet distribution of the sizes of groups: 1 makes all sizes equally likely."""


class PartitionPrior:
    """A mixture of finite mixtures (Miller and Harrison, 2018).

    The number of groups K is uniform from 1 to ``k_max`` and falls by a factor of e for each one more; their
    weights are Dirichlet(g, ..., g). With these integrated out, n tasks fall into k groups of sizes n_c with

        p = V(k) prod_c Gamma(n_c + g) / Gamma(g),
        V(k) = sum_K p(K) K! / (K - k)! Gamma(g K) / Gamma(g K + n).

    Parameters
    ----------
    n : int
        Number of tasks.
    k_max : int
        Number of groups up to which all are equally likely.

    Attributes
    ----------
    evenness : float
        g.
    """

    def __init__(self, n: int, k_max: int) -> None:
        g = self.evenness = _EVENNESS
        number = np.arange(1, n + 1)
        beyond = np.maximum(number - k_max, 0)
        self._log_factorial = gammaln(np.arange(n + 2) + 1.0)
        self._of_number = gammaln(g * number) - gammaln(g * number + n) - beyond

    def number_given(self, k: Labels) -> Array:
        """Return log p(K) for K = 1 to n, shape (c, n), given how many groups have members, shape (c,)."""
        number = np.arange(1, len(self._of_number) + 1)
        empty = number - k[:, None]
        value = self._of_number + self._log_factorial[number] - self._log_factorial[np.maximum(empty, 0)]
        return np.where(empty >= 0, value, -np.inf)

    def log_weight(self, k: Labels) -> Array:
        """Return log V(k)."""
        return np.asarray(logsumexp(self.number_given(np.asarray(k)), axis=-1))

    def log_prior(self, size: Labels) -> float:
        """Return log p of a partition, without constants, given the sizes of its groups."""
        size = size[size > 0]
        g = self.evenness
        return float(self.log_weight(np.array([len(size)]))[0] + (gammaln(size + g) - gammaln(g)).sum())
