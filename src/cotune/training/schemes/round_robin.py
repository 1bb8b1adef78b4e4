"""Round robin: no drawing, every task in its turn."""

from __future__ import annotations

from collections.abc import Sequence

from cotune.tasks.mixing import Batches, Mixture
from cotune.training.schemes._scheme import Scheme


class RoundRobin(Scheme):
    """Every task is met as often as any other: a shuffled round names each once, no step names one twice."""

    def batches(
        self, task_sizes: Sequence[int], *, batch_size: int, tasks_per_batch: int, seed: int
    ) -> Batches:
        """Return batches of the next tasks of the round robin."""
        return Mixture(task_sizes, batch_size, tasks_per_batch, seed)
