"""Dynamic weight average: tasks whose loss falls more slowly get more weight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import PositiveFloat, PositiveInt

from cotune.training.balancing._balancing import Balancing


class DynamicWeightAverage(Balancing):
    """Loss balancing, Eq. 7 of Liu et al. (2019), "End-to-End Multi-Task Learning with Attention".

    A task's weight is K exp(r_k / T) / sum_i exp(r_i / T), r_k = L_k(t - 1) / L_k(t - 2), K the number of
    tasks: those whose loss fell least get most. L_k(t) is the task's mean loss over the steps of period t
    that saw it. In the first two periods, and for a task that one of the last two did not see, r_k is 1.
    """

    temperature: PositiveFloat = 2.0
    """T: large gives all tasks the same weight; 2 in the paper."""
    period: PositiveInt = 50
    """Steps of a period; an epoch in the paper."""

    def weights(self, losses: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> Mapping[str, float]:
        """Return the weights by the last two whole periods; over all tasks seen there their mean is 1."""
        last = len(losses) // self.period
        if last < 2:
            return dict.fromkeys(tasks, 1.0)
        older, newer = (self._means(losses, period) for period in (last - 2, last - 1))
        known = {*older, *newer, *tasks}
        ratios = {
            task: newer[task] / older[task] if older.get(task) and task in newer else 1.0 for task in known
        }
        highest = max(ratios.values())
        powers = {task: math.exp((ratio - highest) / self.temperature) for task, ratio in ratios.items()}
        unit = math.fsum(powers.values()) / len(known)
        return {task: powers[task] / unit for task in tasks}

    def _means(self, losses: Sequence[Mapping[str, float]], period: int) -> dict[str, float]:
        values: dict[str, list[float]] = {}
        for step in losses[period * self.period : (period + 1) * self.period]:
            for task, loss in step.items():
                values.setdefault(task, []).append(loss)
        return {task: math.fsum(of_task) / len(of_task) for task, of_task in values.items()}
