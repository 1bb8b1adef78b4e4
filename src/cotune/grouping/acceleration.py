"""Safeguarded Anderson acceleration of a fixed-point iteration on a matrix."""

from __future__ import annotations

import numpy as np

from cotune.grouping._partition import Matrix

RIDGE = 1e-9
"""Share of the trace of the residuals' Gram matrix added to its diagonal."""


class Anderson:
    """Combine the last images of a fixed-point map so that their residuals cancel.

    Parameters
    ----------
    memory : int
        Number of past iterates kept; 2 x memory matrices are stored.
    every : int
        Extrapolate every so many steps.
    growth : float
        An extrapolated point whose residual exceeds the previous one times this is taken back.
    """

    def __init__(self, memory: int, every: int, growth: float = 1.5) -> None:
        self.memory, self.every, self.growth = memory, every, growth
        self._residuals: Matrix | None = None
        self._images: Matrix | None = None
        self._gram = np.zeros((memory, memory))
        self.restart()

    def restart(self) -> None:
        """Forget the past; needed whenever the map itself changes."""
        self._filled = self._next = self._steps = 0
        self._fallback: tuple[Matrix, float] | None = None

    @property
    def safe_point(self) -> Matrix | None:
        """The last image before an extrapolation that is still on trial."""
        return None if self._fallback is None else self._fallback[0]

    def advance(self, point: Matrix, image: Matrix) -> Matrix:
        """Return the point from which to go on, given a point and its image under the map.

        Parameters
        ----------
        point, image : ndarrays of the same shape
            Not modified.

        Returns
        -------
        ndarray
            ``image``, an extrapolation, or the point before an extrapolation that failed.
        """
        if self._residuals is None or self._images is None:
            self._residuals = np.empty((self.memory, point.size), dtype=point.dtype)
            self._images = np.empty((self.memory, point.size), dtype=point.dtype)
        residual = self._residuals[self._next]
        np.subtract(image.ravel(), point.ravel(), out=residual)
        norm = float(np.linalg.norm(residual))
        if self._fallback is not None and norm > self.growth * self._fallback[1]:
            safe = self._fallback[0]
            self.restart()
            return safe
        self._fallback = None
        self._images[self._next] = image.ravel()
        self._filled = min(self._filled + 1, self.memory)
        products = self._residuals[: self._filled] @ residual
        self._gram[self._next, : self._filled] = self._gram[: self._filled, self._next] = products
        self._next = (self._next + 1) % self.memory
        self._steps += 1
        if self._filled < 3 or self._steps % self.every:
            return image
        weights = self._weights()
        if weights is None:
            return image
        self._fallback = (image.copy(), norm)
        return np.asarray((weights @ self._images[: self._filled]).reshape(image.shape))

    def _weights(self) -> Matrix | None:
        """Affine weights that minimise the combined residual, or None when they are too large to trust."""
        gram = self._gram[: self._filled, : self._filled].copy()
        gram.flat[:: self._filled + 1] += RIDGE * float(np.trace(gram)) + 1e-300
        weights = np.linalg.solve(gram, np.ones(self._filled))
        weights /= weights.sum()
        return weights if float(np.abs(weights).sum()) < 1e3 else None
