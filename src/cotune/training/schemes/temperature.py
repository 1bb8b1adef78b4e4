"""Sampling at a temperature: between proportional and uniform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from cotune.training.schemes._scheme import SizeScheme


class Temperature(SizeScheme):
    """p_i ~ min(n_i, K)^(1/T), the temperature-scaled mixing of multilingual BERT and T5."""

    temperature: PositiveFloat
    """T: 1 is proportional, the larger the nearer to uniform; below 1 large tasks get more than a share."""

    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return the shares at the temperature."""
        return self.tempered(task_sizes, self.temperature)
