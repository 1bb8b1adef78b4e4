"""Annealed sampling: the temperature moves while the model is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from cotune.training.schemes._scheme import SizeScheme


class Annealed(SizeScheme):
    """p_i ~ min(n_i, K)^(1/T) at a temperature that goes from ``start`` to ``end`` over ``horizon`` steps.

    T(step) = start (end / start)^min(step / horizon, 1): every step multiplies the temperature by the same
    factor, and from step ``horizon`` on it is ``end``. ``start`` above ``end`` cools from near uniform to
    proportional, ``start`` below ``end`` is the reverse. The horizon is counted in steps of the run, not in
    shares of it, so that runs of different lengths begin alike.
    """

    start: PositiveFloat
    """Temperature of the first step."""
    end: PositiveFloat
    """Temperature from step ``horizon`` on."""
    horizon: PositiveInt
    """Optimiser steps over which the temperature moves."""

    def temperature(self, step: int) -> float:
        """Return T at a step, counted from 0."""
        return float(self.start * (self.end / self.start) ** min(step / self.horizon, 1.0))

    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return the shares at the temperature of the step."""
        return self.tempered(task_sizes, self.temperature(step))
