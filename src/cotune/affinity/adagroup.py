"""Procedure 2 and Algorithm 3 of AdaGroup as they are printed, as a planner that is asked and told."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.affinity._affinity import Affinity
from cotune.affinity._entries import Array, Labels
from cotune.affinity._higher_order import higher_order
from cotune.exceptions import InputError

RUNS_PER_TASK = 5
"""The paper's m / b."""
STEPS = 10
"""The paper's s for 100 tasks; it also takes 5 and 3."""


class Relax(Protocol):
    """Procedure 1 for one number of groups: solve Eq. (5) and round the solution by a threshold."""

    def __call__(self, matrix: Array, start: Array, k: int) -> tuple[ArrayLike, float]:
        """Return the group of every task, and the value <T, X> of the solution.

        Parameters
        ----------
        matrix : ndarray of shape (n, n)
            Eq. (6), NaN for pairs that never met: what stands for those is the caller's choice.
        start : ndarray of shape (n, n)
            Where the solver starts: X_uv = 1 / |C| for u and v in a cluster C of the step before, else 0; a
            task taken up in this step is a cluster of its own.
        k : int
            Number of groups, the trace of X.
        """
        ...


class AdaGroup:
    """Group tasks step by step by Algorithm 3, each step's runs drawn blindly by Procedure 2.

    A step takes up b = n / s of the tasks, in random order. Each of its m runs trains a subset drawn
    uniformly, of a given size, from these and the tasks of one group drawn uniformly from those found so far.
    Affinities are the means of Eq. (6) over all runs of all steps. Then Eq. (5) is solved for every number of
    groups from that of the step before to k, from the groups of the step before; the number whose value
    <T, X> is largest is taken, and its X rounded.

    This is what the paper prints, for comparison. :class:`AdaptiveGrouping` chooses the runs by what they
    can tell, and needs a fraction of them.

    What the paper leaves open: Eq. (5) is convex, so that its start changes how long it takes and not what
    comes out; <T, X> grows with the number of groups, so that the largest value is nearly always that of k;
    where rounding gave more groups than k, k alone is tried in the next step; a subset is all there is where
    a group and the new tasks together are fewer.

    Parameters
    ----------
    n_tasks : int
        Number of tasks; more can be added later.
    relax : callable
        Procedure 1, see :class:`Relax`.
    k : int
        Final number of groups, where rounding gives as many.
    adaptive_steps : int, optional
        The paper's s; by default 10, or as many as let each step take up a whole subset.
    subsets : int, optional
        Runs in a step, the paper's m; by default five for each task that it takes up.
    size : int
        Tasks in a subset, the paper's alpha.
    seed : int
        Of the order of the tasks and of the subsets.

    Attributes
    ----------
    labels_ : ndarray of shape (n,)
        The group of every task, -1 for tasks not yet taken up.
    n_runs_ : int
        Runs asked for and told, failed ones included.
    values_ : list of dict of int to float
        For every step the value <T, X> by the number of groups tried.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """

    def __init__(
        self,
        n_tasks: int,
        relax: Relax,
        *,
        k: int,
        adaptive_steps: int | None = None,
        subsets: int | None = None,
        size: int = 3,
        seed: int = 0,
    ) -> None:
        if not 2 <= size <= n_tasks:
            raise InputError(
                f"The subset size must be between 2 and the number of tasks {n_tasks}, got {size}."
            )
        _check("k", k, n_tasks, f"for {n_tasks} tasks")
        _check(
            "adaptive_steps",
            adaptive_steps,
            n_tasks // size,
            f"for {n_tasks} tasks, as each takes up a subset of {size} at least",
        )
        _check("subsets", subsets)
        self._relax, self._k, self._subsets, self._size, self._seed = relax, k, subsets, size, seed
        self.labels_ = np.full(n_tasks, -1, dtype=np.intp)
        self.n_runs_ = 0
        self.values_: list[dict[int, float]] = []
        self._member, self._scores = np.zeros((0, n_tasks), dtype=bool), np.zeros((0, n_tasks))
        self._asked: NDArray[np.bool_] | None = None
        order = np.random.default_rng((seed, 0)).permutation(n_tasks)
        self._batches: list[Labels] = np.array_split(order, adaptive_steps or min(STEPS, n_tasks // size))
        self._step = 0

    def add_tasks(self, count: int) -> None:
        """Append tasks, which are one further step.

        Raises
        ------
        InputError
            If ``count`` is below 1, or subsets are out that have not been told.
        """
        if count < 1:
            raise InputError(f"The number of tasks to add must be at least 1, got {count}.")
        if self._asked is not None:
            raise InputError("Tasks can be added when the scores of all subsets asked for have been told.")
        n = len(self.labels_)
        self._batches.append(np.arange(n, n + count))
        self.labels_ = np.r_[self.labels_, np.full(count, -1, dtype=np.intp)]
        self._member = np.pad(self._member, ((0, 0), (0, count)))
        self._scores = np.pad(self._scores, ((0, 0), (0, count)), constant_values=np.nan)

    @property
    def finished(self) -> bool:
        """Whether all tasks have been taken up."""
        return self._step == len(self._batches)

    @property
    def affinity(self) -> Affinity:
        """Eq. (6) of all runs told; NaN for pairs that never met."""
        return higher_order(self._member, self._scores)

    @property
    def runs_left(self) -> int:
        """Runs of the steps to come."""
        return sum(self._count(batch) for batch in self._batches[self._step :])

    def ask(self) -> NDArray[np.bool_]:
        """Return the subsets to train next, shape (m, n), one a row; no rows when finished.

        Asking again before telling gives the same. A subset that comes again is to be trained with another
        seed.
        """
        if self._asked is None:
            asked = np.zeros((0, len(self.labels_)), dtype=bool)
            if self.finished:
                return asked
            self._asked = self._draw(self._batches[self._step])
        return self._asked.copy()

    def tell(self, scores: ArrayLike) -> None:
        """Take the scores of the subsets last asked for, group, and go on to the next step.

        Parameters
        ----------
        scores : array_like of shape (m, n)
            ``f_i(S)`` for the subsets in order, higher is better, ignored outside of a subset. A row with NaN
            for a member is a failed run: it counts as a run and has no part in Eq. (6).

        Raises
        ------
        InputError
            If nothing was asked for, or the shape does not fit.
        """
        f = np.asarray(scores, dtype=float)
        if self._asked is None:
            raise InputError("There is nothing to tell: ask for subsets first.")
        if f.shape != self._asked.shape:
            raise InputError(
                f"scores must have the shape of what was asked, {self._asked.shape}, got {f.shape}."
            )
        good = (np.isfinite(f) | ~self._asked).all(1)
        self._member = np.concatenate([self._member, self._asked[good]])
        self._scores = np.concatenate([self._scores, np.where(self._asked[good], f[good], np.nan)])
        self.n_runs_ += len(f)
        self._asked = None
        self._regroup(self._batches[self._step])
        self._step += 1

    def _count(self, batch: Labels) -> int:
        return RUNS_PER_TASK * len(batch) if self._subsets is None else self._subsets

    def _draw(self, batch: Labels) -> NDArray[np.bool_]:
        """Draw the subsets of a step (lines 1 to 3 of Procedure 2)."""
        rng = np.random.default_rng((self._seed, 1, self._step))
        clusters = int(self.labels_.max()) + 1
        subsets = np.zeros((self._count(batch), len(self.labels_)), dtype=bool)
        for row in subsets:
            pool = batch
            if clusters:
                pool = np.r_[batch, np.flatnonzero(self.labels_ == rng.integers(clusters))]
            row[rng.choice(pool, min(self._size, len(pool)), replace=False)] = True
        return subsets

    def _regroup(self, batch: Labels) -> None:
        """Cluster all tasks taken up so far (Procedure 1), with the number of groups of the largest value."""
        before = int(self.labels_.max()) + 1
        self.labels_[batch] = before + np.arange(len(batch))
        taken = np.flatnonzero(self.labels_ >= 0)
        labels = self.labels_[taken]
        together = labels[:, None] == labels
        start = together / together.sum(1, keepdims=True)
        matrix = self.affinity.matrix[np.ix_(taken, taken)]
        most = min(self._k, len(taken))
        found = {k: self._relax(matrix, start, k) for k in range(min(max(before, 1), most), most + 1)}
        self.values_.append({k: value for k, (_, value) in found.items()})
        best = max(found, key=lambda k: (found[k][1], -k))
        self.labels_[taken] = np.unique(np.asarray(found[best][0]), return_inverse=True)[1]


def _check(name: str, value: int | None, most: int | None = None, why: str = "") -> None:
    if value is not None and (value < 1 or (most is not None and value > most)):
        allowed = "at least 1" if most is None else f"from 1 to {most} {why}"
        raise InputError(f"{name} must be {allowed}, got {value}.")
