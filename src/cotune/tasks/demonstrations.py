"""Demonstrations: the solved examples that a k-shot prompt shows before the input."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np

from cotune.exceptions import InputError
from cotune.tasks._task import Example, Task


def draw_demonstrations(
    task: Task, shots: int, *, seed: int, draw: tuple[int, ...] = (), exclude: Collection[str] = ()
) -> tuple[Example, ...]:
    """Draw the demonstrations of a k-shot prompt from a task's training split, without replacement.

    Every task has its own stream of random numbers under a seed. Fewer shots are the first of more: the
    1-shot prompt of a draw shows the first demonstration of its 4-shot prompt, which pairs their comparison.

    Parameters
    ----------
    task : Task
        Its training split is drawn from.
    shots : int
        Number of demonstrations, at least 0.
    seed : int
        Not negative.
    draw : tuple of int
        Which draw under the seed: the number of the draw, or with the number of the example behind it.
    exclude : collection of str
        Inputs that no demonstration may have: those it is shown to.

    Returns
    -------
    tuple of Example

    Raises
    ------
    InputError
        If the task has fewer training examples than shots; names the task.
    """
    pool = [example for example in task["train"] if example.input not in exclude]
    if len(pool) < shots:
        raise InputError(
            f"Task {task.name} has {len(pool)} training examples to draw demonstrations from, fewer than the "
            f"{shots} shots of a prompt; give it more or ask for fewer shots."
        )
    stream = int.from_bytes(hashlib.sha256(task.name.encode()).digest()[:8], "big")
    order = np.random.default_rng((seed, stream, *draw)).permutation(len(pool))
    return tuple(pool[index] for index in order[:shots])
