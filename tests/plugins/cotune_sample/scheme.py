"""Sampling between uniform and proportional."""

from __future__ import annotations

from cotune.training.schemes import SizeScheme


class SquareRoot(SizeScheme):
    """p_i ~ sqrt(min(n_i, K))."""

    def probabilities(self, task_sizes, step):
        """Return the shares."""
        return self.tempered(task_sizes, 2.0)
