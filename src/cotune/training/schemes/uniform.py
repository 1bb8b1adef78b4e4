"""Uniform sampling: every task with the same probability, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotune.training.schemes._scheme import SamplingScheme


class Uniform(SamplingScheme):
    """Every task with the same probability, p_i = 1 / tasks ("equal mixing" of the T5 paper)."""

    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return 1 / tasks for each task."""
        return np.full(len(task_sizes), 1 / len(task_sizes))
