from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from cotune.answering import encode_example
from cotune.exceptions import InputError
from cotune.models.encoding import Encoded, Encoder
from cotune.tasks import Example, Task, draw_demonstrations

_ORDER = 5  # a kind of random streams under one seed, beside those of batches and of windows of text


class OtherExamples:
    """Examples of the training splits of tasks, each behind demonstrations, in shuffled passes over all.

    What stands at a place of the sequence is determined by the seed and the place alone.

    Parameters
    ----------
    tasks : sequence of Task
        The tasks; their test and validation splits are not looked at.
    encoder : Encoder
        The model's tokenizer and limits.
    shots : int
        Demonstrations before each example.

    Raises
    ------
    InputError
        If a task has too few training examples, or its longest demonstrations do not fit a prompt.
    """

    def __init__(self, tasks: Sequence[Task], encoder: Encoder, shots: int) -> None:
        self._encoder, self._shots = encoder, shots
        self._pool = [
            (task, example)
            for task in tasks
            for example in task["train"]
            if encode_example(encoder, task, example, example.targets[0]) is not None
        ]
        if not self._pool:
            raise InputError("The other tasks have no training example with a target that fits the model.")
        worst = (self._encoded(task, one, shown) for task, one, shown in self._worst(tasks))
        self.longest = max(worst, key=len)
        """The longest that can come."""

    @cached_property
    def mean_tokens(self) -> float:
        """Mean number of tokens of an example, by the first of them."""
        first = [next(self.since(place, 0)) for place in range(min(16, len(self._pool)))]
        return sum(map(len, first)) / len(first)

    def since(self, place: int, seed: int) -> Iterator[Encoded]:
        """Iterate over the examples from a place of the endless sequence on, under a seed."""
        epoch, done = divmod(place, len(self._pool))
        while True:
            order = np.random.default_rng((seed, _ORDER, epoch)).permutation(len(self._pool))
            for at in range(done, len(order)):
                task, example = self._pool[int(order[at])]
                draw = (_ORDER, epoch * len(order) + at)
                shown = draw_demonstrations(task, self._shots, seed=seed, draw=draw, exclude={example.input})
                yield self._encoded(task, example, shown)
            epoch, done = epoch + 1, 0

    def _worst(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Example, Sequence[Example]]]:
        """Yield of each task an example behind its longest demonstrations."""
        for name in dict.fromkeys(task.name for task, _ in self._pool):
            task = next(one for one in tasks if one.name == name)
            # Told as it is when training draws too many.
            draw_demonstrations(task, self._shots, seed=0, exclude={task["train"][0].input})
            longest = sorted(task["train"], key=lambda one: -len(one.input) - len(one.targets[0]))
            fitting = next(one for of, one in self._pool if of is task)
            yield task, fitting, longest[: self._shots]

    def _encoded(self, task: Task, example: Example, shown: Sequence[Example]) -> Encoded:
        encoded = encode_example(self._encoder, task, example, example.targets[0], shown)
        assert encoded is not None, "a target that fits does so under every prompt"
        return encoded
