"""How the gradients of tasks trained together differ: in direction, in size, and by noise.

The three ways in which Mueller, Andrews and Dredze (2022) measure conflict between the tasks of a
text-to-text model. A task's gradient is known from a few batches alone, and what differs between batches of
one task would pass for conflict: inner products of two batches of different examples are free of it, so
directions and sizes are made of those. For batches g_1 ... g_B of a task, with mean m,

    |m|^2 without noise    = mean over b != c of g_b . g_c
    noise of a batch       = sum over b of |g_b - m|^2 / (B - 1)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import Encoded, LanguageModel
    from cotune.training.methods import Attached

BATCHES = 4
"""Batches of each task whose gradients are compared."""
_DIMENSION = 16384
"""Numbers that a gradient is sketched to; an inner product is off by some 1 / 128 of the lengths."""
_PASS_TOKENS = 1024

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class TaskGradients(Brief):
    """The gradients of some tasks at one model.

    Parameters
    ----------
    tasks : tuple of str
        Their names.
    cosines : tuple of tuple of float
        Between the tasks' gradients, noise taken out; NaN where a task's is lost in its noise. In [-1, 1].
    norms : tuple of float
        Lengths of the tasks' gradients, noise taken out; NaN where lost in it.
    noise : tuple of float
        Variance of a batch's gradient over the square of that length; NaN as above.
    """

    tasks: tuple[str, ...]
    cosines: Matrix
    norms: tuple[float, ...]
    noise: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; what is not known is null."""
        return {
            "tasks": list(self.tasks),
            "cosines": [_nulls(row) for row in self.cosines],
            "norms": _nulls(self.norms),
            "noise": _nulls(self.noise),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` gave."""
        return cls(
            tuple(data["tasks"]),
            tuple(_numbers(row) for row in data["cosines"]),
            _numbers(data["norms"]),
            _numbers(data["noise"]),
        )


def compare_gradients(tasks: Sequence[str], gradients: NDArray[np.floating]) -> TaskGradients:
    """Compare the gradients of tasks.

    Parameters
    ----------
    tasks : sequence of n str
        Their names.
    gradients : ndarray of shape (n, b, p)
        Of every task those of b batches of as many examples, no example in two; b is at least 2.
    """
    g = np.asarray(gradients, dtype=float)
    n_batches = g.shape[1]
    means = g.mean(1)
    within = (g**2).sum(2).sum(1)
    squares = (n_batches**2 * (means**2).sum(1) - within) / (n_batches * (n_batches - 1))
    noise = ((g - means[:, None]) ** 2).sum((1, 2)) / (n_batches - 1)
    # A square that is but rounding of what it is the difference of is no length.
    lost = ~(squares > 1e-12 * within)
    squares = np.where(lost, np.nan, squares)
    norms = np.sqrt(squares)
    cosines = np.clip((means @ means.T) / np.outer(norms, norms), -1.0, 1.0)
    np.fill_diagonal(cosines, np.where(lost, np.nan, 1.0))
    return TaskGradients(
        tuple(tasks),
        tuple(tuple(map(float, row)) for row in cosines),
        tuple(map(float, norms)),
        tuple(map(float, noise / squares)),
    )


def measure_gradients(
    model: LanguageModel,
    attached: Attached,
    parameters: Sequence[nn.Parameter],
    examples: Mapping[str, Sequence[Encoded]],
) -> TaskGradients:
    """Take the gradients of tasks at a model as it is.

    Parameters
    ----------
    model : LanguageModel
        Encodes batches for the module.
    attached : Attached
        Its base with what a method put on it; in evaluation mode.
    parameters : sequence of Parameter
        Those to differentiate by.
    examples : mapping of str to sequence of Encoded
        Of every task as many as shall be used, at least :data:`BATCHES`; what does not make up equal batches
        is left out.
    """
    from cotune.training.gradients import mean_gradient
    from cotune.training.sketch import Sketch

    sketch = Sketch(sum(p.numel() for p in parameters), _DIMENSION)

    def gradient(batch: Sequence[Encoded]) -> NDArray[np.float32]:
        return sketch(mean_gradient(model, attached, parameters, batch, pass_tokens=_PASS_TOKENS))

    batches = [np.split(np.arange(len(of) // BATCHES * BATCHES), BATCHES) for of in examples.values()]
    gradients = [
        [gradient([of[i] for i in batch]) for batch in of_task]
        for of, of_task in zip(examples.values(), batches, strict=True)
    ]
    return compare_gradients(tuple(examples), np.array(gradients))


def _nulls(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _numbers(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)
