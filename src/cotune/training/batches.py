"""What a training step sees: examples of tasks, and text replayed beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from cotune.models.encoding import Encoded


class TaskBatch(list[Encoded]):
    """The instruction examples of a step, which also knows whose they are and what text comes with them.

    Parameters
    ----------
    examples : iterable of Encoded
        In the order of their tasks' rows.
    tasks : sequence of str
        The task of each.
    replay : sequence of Encoded
        Windows of plain text, beside the examples and not counted among them.
    """

    def __init__(
        self, examples: Iterable[Encoded], tasks: Sequence[str], replay: Sequence[Encoded] = ()
    ) -> None:
        super().__init__(examples)
        self.tasks = tuple(tasks)
        self.replay = tuple(replay)

    @property
    def counts(self) -> dict[str, int]:
        """Examples by task; the tasks sorted."""
        return {task: len(list(same)) for task, same in groupby(sorted(self.tasks))}

    @property
    def tokens(self) -> int:
        """Tokens of the examples, counted one by one."""
        return sum(map(len, self))

    @property
    def replay_tokens(self) -> int:
        """Tokens of the replayed text."""
        return sum(map(len, self.replay))


def as_task_batch(examples: Sequence[Encoded]) -> TaskBatch:
    """Return a batch as it is; examples that say nothing of their tasks are those of one without a name."""
    return examples if isinstance(examples, TaskBatch) else TaskBatch(examples, [""] * len(examples))
