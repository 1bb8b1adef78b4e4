"""Proportional sampling: every example of every task is equally likely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotune.training.schemes._scheme import SizeScheme


class Proportional(SizeScheme):
    """A task's probability is its share of all training examples, p_i ~ min(n_i, K)."""

    def probabilities(self, task_sizes: Sequence[int], step: int) -> NDArray[np.float64]:
        """Return each task's share of the examples."""
        return self.tempered(task_sizes, 1.0)
