"""The variance of effects that were observed with noise, by its likelihood."""

from __future__ import annotations

import numpy as np

from cotune.grouping._partition import Matrix

VARIANCES = np.geomspace(1e-6, 1e6, 37)
"""Variances of effects that are tried, in units of that of the noise; the least stands for none."""


class Effects:
    """Effects of one kind, each observed as a sum over measurements.

    What does not change from round to round of a fit, which is most of it, is computed once.

    Parameters
    ----------
    weight : ndarray of shape (m,)
        Measurements of each effect, positive: the mean of an effect has the variance s2 / weight.
    """

    def __init__(self, weight: Matrix) -> None:
        self.weight = weight
        alike = len(weight) > 1 and weight.min() == weight.max()
        distinct = weight[:1] if alike else weight
        factor = 1.0 + np.multiply.outer(VARIANCES, distinct)
        self._share = distinct / factor
        self._logs = np.log(factor).sum(axis=1) * (len(weight) if alike else 1.0)
        self._alike = alike

    def variance(self, total: Matrix, s2: float) -> float:
        """Return the most likely variance of effects around 0, in units of s2.

        ``total`` of shape (m,): the sum over the measurements of each effect.
        """
        if not len(total):
            return float(VARIANCES[0])
        square = (total / self.weight) ** 2
        left = self._share[:, 0] * square.sum() if self._alike else self._share @ square
        return float(VARIANCES[int((self._logs + left / s2).argmin())])

    def variance_and_mean(self, total: Matrix, s2: float) -> tuple[float, float]:
        """Return the most likely variance of effects in units of s2, and their mean, at least 0."""
        if not len(total):
            return float(VARIANCES[0]), 0.0
        mean = total / self.weight
        if self._alike:
            middle = max(float(mean.mean()), 0.0)
            left = self._share[:, 0] * ((mean - middle) ** 2).sum()
            return float(VARIANCES[int((self._logs + left / s2).argmin())]), middle
        centre = np.maximum(self._share @ mean / self._share.sum(axis=1), 0.0)
        left = np.einsum("vi,vi->v", self._share, (mean - centre[:, None]) ** 2)
        best = int((self._logs + left / s2).argmin())
        return float(VARIANCES[best]), float(centre[best])
