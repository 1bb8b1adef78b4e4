"""Upper bounds on the gain of every partition under effects of pairs and sizes.

With y_ijc = 1 where tasks i and j share a group whose size is of class c, and z_ic = 1 where task i's group
is, the gain of a partition is linear: sum of w_ijc y_ijc + sum of o_ic z_ic. Partitions satisfy

    sum over c of z_ic = 1,  (least_c - 1) z_ic <= sum over j of y_ijc <= (most_c - 1) z_ic,
    y_ijc <= z_ic,  y_ijc + y_jlc - y_ilc <= z_jc,

the last being the triangle cuts of clique partitioning (Groetschel and Wakabayashi, 1989), here in each
class. They are added where they are violated; every linear program on the way gives a bound. Where all sizes
are alike (effects that add up) two classes, alone and in company, lose nothing; otherwise classes are
intervals of sizes in which every term takes its largest value: first few of them, with the sizes of a
partition that was found apart, and where its gain is not met by those, as many as are affordable. What is
spent is counted in steps of the simplex method, so that the bound does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from cotune.grouping._partition import Labels, Matrix
from cotune.grouping.gain_partition import sized_gain

FEW_CLASSES = 4
"""Classes of sizes that are tried first, beside the sizes of the partition that was found."""
MOST_VARIABLES = 6_000
"""Variables of the linear program; classes of sizes are joined until it has no more."""
MOST_TASKS = 100
"""Tasks beyond which the linear program is left out, and each task's own best company bounds the gain."""
ROUNDS = 20
CUTS = 4000
"""Rounds of cuts, and cuts a round."""
STEPS = 2_000
"""Steps of the simplex method after which the bound is the best so far."""
_VIOLATED = 1e-6
_SLACK = 1e-6
"""Share of the largest term that a bound is enlarged by for the tolerance of the linear program."""


def company_bound(effects: ArrayLike, by_size: ArrayLike, own: ArrayLike) -> float:
    """Bound the gain by each task's best company: what both do to each other, shared equally.

    The gain of a group of s tasks is ``by_size[s-1]`` times the sum over its tasks i of the sums over j of
    (effects_ij + effects_ji) / 2, and no task has more than the s - 1 largest of those.
    """
    E, h, B = np.asarray(effects, float), np.asarray(by_size, float), np.asarray(own, float)
    n = len(E)
    half = (E + E.T) / 2.0
    np.fill_diagonal(half, -np.inf)
    sums = np.zeros((n, n))
    sums[:, 1:] = np.cumsum(-np.sort(-half, axis=1)[:, : n - 1], axis=1)
    least = np.zeros((n, n))
    np.fill_diagonal(half, np.inf)
    least[:, 1:] = np.cumsum(np.sort(half, axis=1)[:, : n - 1], axis=1)
    return float((np.where(h >= 0, h * sums, h * least) + B).max(1).sum())


def gain_bound(
    effects: ArrayLike,
    by_size: ArrayLike,
    own: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    found: ArrayLike | None = None,
    steps: int = STEPS,
) -> float:
    """Return a number that the gain of no partition exceeds.

    Parameters
    ----------
    effects, by_size, own, weights : array_like
        As :func:`sized_gain` has them.
    found : array_like of shape (n,), optional
        Labels of a partition of large gain: where the bound meets its gain, nothing is left to do.
    steps : int
        Steps of the simplex method after which the bound is the best so far.
    """
    w = np.ones(len(np.asarray(effects))) if weights is None else np.asarray(weights, float)
    E = np.asarray(effects, float) * w[:, None]
    np.fill_diagonal(E := E.copy(), 0.0)
    h, B = np.asarray(by_size, float), np.asarray(own, float) * w[:, None]
    bound, n = company_bound(E, h, B), len(E)
    if n < 2 or n > MOST_TASKS:
        return bound
    enough, sizes = -np.inf, set[int]()
    if found is not None:
        enough, sizes = sized_gain(E, h, B, found), set(np.bincount(np.asarray(found)).tolist())
    every, seen = _sizes_that_differ(h, B), list[int]()
    most = max(1, MOST_VARIABLES // (n * (n - 1) // 2))
    for count in (FEW_CLASSES, most):
        ends = _classes(every, min(count, most), sizes)
        if ends == seen:
            break
        seen = ends
        found_bound, left, met = _Program(E, h, B, ends).bound(enough, steps)
        bound, steps = min(bound, found_bound), left
        if met or steps <= 0:
            break
    return bound


@dataclass(frozen=True)
class _Class:
    """Sizes from least to most, both included."""

    least: int
    most: int


def _sizes_that_differ(h: Matrix, own: Matrix) -> list[int]:
    """Return the largest size of every run of sizes whose terms are alike, from 2 on."""
    differs = (h[2:] != h[1:-1]) | (own[:, 2:] != own[:, 1:-1]).any(0)  # size s from s - 1, for s = 3 to n
    return [*(2 + np.flatnonzero(differs)).tolist(), len(h)]


def _classes(ends: list[int], count: int, apart: Collection[int]) -> list[int]:
    """Join classes to about so many, by their largest sizes; sizes apart keep one of their own."""
    if len(ends) <= count:
        return ends
    n = ends[-1]
    wanted = np.geomspace(2, n, count + 1)[1:]  # narrow for small groups, whose factor changes most
    kept = {min(ends, key=lambda end: abs(end - size)) for size in wanted}
    kept |= {end for size in apart for end in (size - 1, size)}
    return sorted({end for end in kept if end in ends} | {n})


class _Program:
    """The linear program, with one column for every pair and class, and for every task and class."""

    def __init__(self, effects: Matrix, h: Matrix, own: Matrix, ends: Sequence[int]) -> None:
        self.n = n = len(effects)
        starts = [2, *(end + 1 for end in ends[:-1])]
        self.classes = [_Class(start, end) for start, end in zip(starts, ends, strict=True)]
        self.i, self.j = np.triu_indices(n, 1)
        self.pairs = len(self.i)
        self.at = np.zeros((n, n), dtype=np.intp)
        self.at[self.i, self.j] = self.at[self.j, self.i] = np.arange(self.pairs)
        both = (effects + effects.T)[self.i, self.j]
        spans = [slice(c.least - 1, c.most) for c in self.classes]
        pair_terms = [np.maximum(h[span].max() * both, h[span].min() * both) for span in spans]
        task_terms = [own[:, span].max(1) for span in spans]
        # Alone is the class without pairs: its share is 1 minus the others'.
        self.alone = float(own[:, 0].sum())
        terms = [*pair_terms, *(term - own[:, 0] for term in task_terms)]
        self.cost = -np.concatenate(terms)
        self.first_task = len(self.classes) * self.pairs

    def bound(self, enough: float, steps: int) -> tuple[float, int, bool]:
        """Solve and cut until nothing is violated, the bound is enough or the steps are used up.

        Returns
        -------
        float, int, bool
            The bound, the steps left, and whether it is enough.
        """
        from scipy.optimize import linprog  # slow to import

        rows, limits = self._always()
        scale = max(float(np.abs(self.cost).max()), 1e-300)
        slack = _SLACK * scale * self.n
        best = np.inf
        for _ in range(ROUNDS):
            if steps <= 0:
                break
            options = {"maxiter": steps}
            solved = linprog(
                self.cost / scale, rows, limits, bounds=(0.0, 1.0), method="highs-ds", options=options
            )
            steps -= int(solved.nit or 0)
            if solved.status != 0:
                steps = 0
                break
            best = min(best, -float(solved.fun) * scale + self.alone + slack)
            if best <= enough + 2.0 * slack:
                return best, steps, True
            cuts, right = self._violated(np.asarray(solved.x))
            if not cuts.shape[0]:
                break
            rows = sparse.vstack([rows, cuts], format="csr")
            limits = np.concatenate([limits, right])
        return best, steps, False

    def _task(self, c: int, task: Labels) -> Labels:
        return self.first_task + c * self.n + task

    def _always(self) -> tuple[sparse.csr_matrix, Matrix]:
        """One class a task, and as many companions as its sizes have."""
        n, tasks, pairs = self.n, np.arange(self.n), np.arange(self.pairs)
        rows, columns, values = [], [], []

        def add(row: Labels, column: Labels, value: float) -> None:
            rows.append(row)
            columns.append(column)
            values.append(np.full(len(row), value))

        count = len(self.classes)
        for c, sizes in enumerate(self.classes):
            add(tasks, self._task(c, tasks), 1.0)
            limits = ((1.0, sizes.most - 1), (-1.0, sizes.least - 1))
            for first, (sign, others) in zip((n * (1 + 2 * c), n * (2 + 2 * c)), limits, strict=True):
                add(first + self.i, c * self.pairs + pairs, sign)
                add(first + self.j, c * self.pairs + pairs, sign)
                add(first + tasks, self._task(c, tasks), -sign * others)
        shape = (n * (1 + 2 * count), self.cost.size)
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        limit = np.concatenate([np.ones(n), np.zeros(shape[0] - n)])
        return sparse.csr_matrix(sparse.coo_matrix(entries, shape=shape)), limit

    def _violated(self, x: Matrix) -> tuple[sparse.csr_matrix, Matrix]:
        """Cuts that x violates, the worst first, as rows whose products with x must be at most 0."""
        found: list[tuple[Matrix, list[Labels], list[float]]] = []
        for c in range(len(self.classes)):
            y = np.zeros((self.n, self.n))
            y[self.i, self.j] = y[self.j, self.i] = x[c * self.pairs : (c + 1) * self.pairs]
            z = x[self._task(c, np.arange(self.n))]
            a, b = np.nonzero(y - z[:, None] > _VIOLATED)
            columns = [c * self.pairs + self.at[a, b], self._task(c, a)]
            found.append(((y - z[:, None])[a, b], columns, [1.0, -1.0]))
            for middle in range(self.n):
                excess = y[middle][:, None] + y[middle][None, :] - y - z[middle]
                excess[middle] = excess[:, middle] = -1.0
                a, b = np.nonzero(np.triu(excess, 1) > _VIOLATED)
                columns = [self.at[middle, a], self.at[middle, b], self.at[a, b]]
                columns = [c * self.pairs + column for column in columns]
                columns.append(self._task(c, np.full(len(a), middle)))
                found.append((excess[a, b], columns, [1.0, 1.0, -1.0, -1.0]))
        excess = np.concatenate([part[0] for part in found])
        if not len(excess):
            return sparse.csr_matrix((0, x.size)), np.zeros(0)
        least = -np.inf if len(excess) <= CUTS else float(np.partition(excess, -CUTS)[-CUTS])
        rows, columns, signs, count = [], [], [], 0
        for amount, parts, sign in found:
            kept = np.flatnonzero(amount >= least)
            for part, s in zip(parts, sign, strict=True):
                rows.append(count + np.arange(len(kept)))
                columns.append(part[kept])
                signs.append(np.full(len(kept), s))
            count += len(kept)
        matrix = sparse.coo_matrix(
            (np.concatenate(signs), (np.concatenate(rows), np.concatenate(columns))), shape=(count, x.size)
        )
        return sparse.csr_matrix(matrix), np.zeros(count)
