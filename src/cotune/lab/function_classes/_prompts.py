"""Where the prompts of a run come from: streams that depend on a seed and a function class alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

from cotune.lab.function_classes._laws import FUNCTION_CLASSES

_BLOCK = 50
"""Steps whose prompts are drawn at once. It is part of the recipe: another block draws other prompts."""


def generator(*key: object) -> Generator:
    """Return a source of random numbers of its own for every key."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def batches(
    classes: Sequence[str], *, batch_size: int, points: int, dimension: int, key: tuple[object, ...]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield training batches without end, row by row a prompt of the next class in turn.

    Two runs of one key that hold equally many classes see the same prompts of a class they share: what tells
    them apart is the company the class is in, not the luck of the draw.

    Parameters
    ----------
    classes : sequence of str
        Names of the function classes.
    batch_size, points, dimension : int
        Prompts a batch, points a prompt, coordinates a point.
    key : tuple
        With the class, determines its prompts.

    Yields
    ------
    x : Tensor of shape (batch_size, points, dimension)
    y : Tensor of shape (batch_size, points)
    """
    generators = [generator(*key, name) for name in classes]
    n_rows = _BLOCK * batch_size
    share = -(-n_rows // len(classes))
    while True:
        x = torch.empty(n_rows, points, dimension)
        y = torch.empty(n_rows, points)
        for turn, (name, source) in enumerate(zip(classes, generators, strict=True)):
            rows = slice(turn, None, len(classes))
            class_x, class_y = FUNCTION_CLASSES[name].prompts(share, points, dimension, source)
            n_own = len(x[rows])
            x[rows], y[rows] = class_x[:n_own], class_y[:n_own]
        yield from zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True)
