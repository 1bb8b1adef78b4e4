"""Affinity matrices of many structures, each with the number of groups that a rule should find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune.benchmark.planted import Planted


@dataclass(frozen=True)
class Structure:
    """Groups of given sizes, in a random order of the tasks, under noise of one for each direction.

    Parameters
    ----------
    groups : tuple of int
        Sizes.
    signal : float
        What members of a group have more than others.
    rows, columns : float
        Standard deviations of offsets of tasks as targets and as sources.
    deep : bool
        Whether groups 0 and 1, 2 and 3, ... are close, too, by the same signal.
    tails : float
        Degrees of freedom of the noise, Student's t scaled to a variance of one; 0 for normal noise.
    counts : bool
        Whether entries average 1 to 8 measurements of noise 2 each, known by number.
    missing : float
        Share of pairs without entries.
    one_way : float
        Share of the signal that goes from one task of a pair to the other and not back.
    shift : float
        Added to all entries.
    """

    groups: tuple[int, ...]
    signal: float
    rows: float = 0.0
    columns: float = 0.0
    deep: bool = False
    tails: float = 0.0
    counts: bool = False
    missing: float = 0.0
    one_way: float = 0.0
    shift: float = 0.0

    def draw(self, seed: int) -> tuple[Planted, NDArray[np.float64] | None]:
        """Return affinities, NaN where missing, with groups, and how many measurements each averages."""
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(len(self.groups)), self.groups)
        n = len(labels)
        same = (labels[:, None] == labels).astype(float)
        T = self.signal * same + (rng.standard_normal((n, n)) if not self.tails else self._tailed(rng, n))
        counts = None
        if self.counts:
            counts = rng.integers(1, 9, (n, n)).astype(float)
            counts = np.triu(counts, 1) + np.triu(counts, 1).T + np.eye(n)
            T = self.signal * same + 2.0 * (T - self.signal * same) / np.sqrt(counts)
        if self.deep:
            T += self.signal * (labels[:, None] // 2 == labels // 2)
        if self.columns:
            T += self.columns * rng.standard_normal(n)
        if self.rows:
            T += self.rows * rng.standard_normal((n, 1))
        if self.one_way:
            rank = rng.permutation(n)
            T += self.one_way * self.signal * same * np.sign(rank[:, None] - rank)
        T += self.shift
        if self.missing:
            gone = np.triu(rng.random((n, n)) < self.missing, 1)
            T[gone | gone.T] = np.nan
        order = rng.permutation(n)
        square = np.ix_(order, order)
        return Planted(T[square], labels[order]), None if counts is None else counts[square]

    def _tailed(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        noise = rng.standard_t(self.tails, (n, n)) / np.sqrt(self.tails / (self.tails - 2.0))
        return np.asarray(noise)


STRUCTURES: dict[str, Structure] = {
    "25 groups of 4, signal 3": Structure((4,) * 25, 3.0),
    "30 groups of 4, signal 3": Structure((4,) * 30, 3.0),
    "50 groups of 3, signal 3": Structure((3,) * 50, 3.0),
    "10 groups of 3, signal 3": Structure((3,) * 10, 3.0),
    "20 groups of 3, signal 3": Structure((3,) * 20, 3.0),
    "10 pairs, signal 5": Structure((2,) * 10, 5.0),
    "24/10/4/2, signal 3": Structure((24, 10, 4, 2), 3.0),
    "36 and 3 groups of 3, signal 3": Structure((36, 3, 3, 3), 3.0),
    "2 groups of 10, 10 loners, signal 3": Structure((10, 10) + (1,) * 10, 3.0),
    "30 and 4, signal 3": Structure((30, 4), 3.0),
    "offsets of columns alone, n=20": Structure((20,), 0.0, columns=3.0),
    "offsets and 4 groups of 5, signal 3": Structure((5,) * 4, 3.0, columns=3.0),
    "noise, n=8": Structure((8,), 0.0),
    "noise, n=20": Structure((20,), 0.0),
    "noise, n=60": Structure((60,), 0.0),
    "hierarchy of 6 groups of 8, signal 1.5": Structure((8,) * 6, 1.5, deep=True),
    "4 groups of 10, signal 1": Structure((10,) * 4, 1.0),
    "4 groups of 10, signal 0.7": Structure((10,) * 4, 0.7),
}
"""Structures that rules for k were tried on."""

OTHERS: dict[str, Structure] = {
    "8 groups of 5 in pairs, signal 1.5": Structure((5,) * 8, 1.5, deep=True),
    "14/9/5/3, signal 1.5": Structure((14, 9, 5, 3), 1.5),
    "15/8/4 and 6 loners, signal 3": Structure((15, 8, 4) + (1,) * 6, 3.0),
    "3 groups of 6, rows and columns of 5, signal 2": Structure((6,) * 3, 2.0, rows=5.0, columns=5.0),
    "3 groups of 8, 1 to 8 measurements, signal 1": Structure((8,) * 3, 1.0, counts=True),
    "5 groups of 6, t with 3 degrees, signal 2": Structure((6,) * 5, 2.0, tails=3.0),
    "noise, t with 3 degrees, n=20": Structure((20,), 0.0, tails=3.0),
    "4 groups of 6 less 10, signal 2": Structure((6,) * 4, 2.0, shift=-10.0),
    "4 groups of 8, 30 % of pairs missing, signal 2": Structure((8,) * 4, 2.0, missing=0.3),
    "4 groups of 6, one way, signal 2": Structure((6,) * 4, 2.0, one_way=1.0),
    "6 groups of 5, signal 1.2": Structure((5,) * 6, 1.2),
    "noise, n=3": Structure((3,), 0.0),
    "noise, n=4": Structure((4,), 0.0),
    "noise, n=5": Structure((5,), 0.0),
    "2 pairs, signal 5": Structure((2, 2), 5.0),
    "3 and 2, signal 4": Structure((3, 2), 4.0),
}
"""Structures of other kinds, drawn once the rule was written."""
