"""Partitions of large evidence: cuts of merge trees, then moves, merges and splits that raise it.

Everything is deterministic, and follows the tasks when they are reordered: no random starts, no folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cotune.grouping._partition import Labels, Matrix, first_appearance, indicator
from cotune.grouping.block_fit import block_term, fit_model
from cotune.grouping.block_model import Fit, Observations
from cotune.grouping.shapes import change

ROUNDS = 12
"""Most alternations of fitting and moving; three or four are usual."""

GAIN = 1e-7
"""Smallest gain in log evidence that counts as one."""

TOGETHER = 6
"""So many moves that gain under means of pairs are made one by one."""

PAIRS_UP_TO = 200_000
"""Means of pairs of groups are moved for where n k^2 is below this."""


@dataclass(slots=True)
class Candidate:
    """A partition with its fit."""

    labels: Labels
    k: int
    fit: Fit

    @property
    def cost(self) -> float:
        """Minus twice the log evidence."""
        return self.fit.cost


def climb(
    data: Observations,
    labels: Labels,
    *,
    pairs: bool,
    k_max: int,
    fixed: bool = False,
    start: Fit | None = None,
) -> Candidate:
    """Improve a partition until no move, and no merge, raises the evidence.

    Parameters
    ----------
    data : Observations
        The affinities.
    labels : ndarray of shape (n,)
        Where to start.
    pairs : bool
        Whether pairs of groups have means of their own.
    k_max : int
        Most groups.
    fixed : bool
        Keep the number of groups.
    start : Fit, optional
        A fit to start from.
    """
    labels = first_appearance(labels)
    k = int(labels.max()) + 1
    best = Candidate(labels, k, fit_model(data, labels, k, pairs=pairs, start=start))
    for _ in range(ROUNDS):
        if best.k == 1:
            break
        state = State(data, best, pairs)
        changed = state.move(k_max, fixed)
        if not fixed:
            changed = state.merge() or changed
        if not changed:
            break
        labels = first_appearance(state.labels)
        k = int(labels.max()) + 1
        fit = fit_model(data, labels, k, pairs=pairs, start=best.fit)
        if not fit.cost < best.cost - GAIN:
            break
        best = Candidate(labels, k, fit)
    return best


class State:
    """A partition and the sums from which the gain of every move and merge follows, at a given fit."""

    def __init__(self, data: Observations, candidate: Candidate, pairs: bool) -> None:
        self.data, self.fit = data, candidate.fit
        self.labels = candidate.labels.copy()
        self.pairs = pairs and candidate.fit.kappa > 1e-5
        self.tasks = np.arange(data.n)
        self.refresh(candidate.k)

    def refresh(self, k: int) -> None:
        """Sum again over the groups of the labels."""
        self.k = k
        self.A, self.B = self.data.residual_sums(self.fit, self.labels, k)
        V = indicator(self.labels, k)
        self.S, self.N = V.T @ self.A, V.T @ self.B
        self.size = V.sum(axis=0)

    def _inside(self, S: Matrix, N: Matrix) -> Matrix:
        return block_term(S, N, self.fit.m0, self.fit.tau, self.fit.s2, positive=True)

    def _between(self, S: Matrix, N: Matrix) -> Matrix:
        return block_term(S, N, 0.0, self.fit.kappa, self.fit.s2)

    def gains(self) -> Matrix:
        """Gain in log evidence of moving each task to each group, the last column a group of its own."""
        own, n, k = self.labels, self.data.n, self.k
        A = np.column_stack([self.A, np.zeros(n)])
        B = np.column_stack([self.B, np.zeros(n)])
        S, N = np.append(np.diag(self.S), 0.0) / 2.0, np.append(np.diag(self.N), 0.0) / 2.0
        size = np.append(self.size, 0).astype(np.intp)
        now = self._inside(S, N)
        join = self._inside(S + A, N + B) - now
        leave = self._inside(S[own] - A[self.tasks, own], N[own] - B[self.tasks, own]) - now[own]
        gains = join + leave[:, None]
        distinct, where = np.unique(size, return_inverse=True)
        old, new = np.maximum(distinct, 1)[:, None], distinct[None, :]
        gains += change(self.size, [old, new], [old - 1, new + 1])[where[own][:, None], where]
        if self.pairs:
            gains += self._pair_gains()
        gains[self.tasks, own] = -np.inf
        gains[size[own] == 1, k] = -np.inf
        return np.asarray(gains)

    def _pair_gains(self) -> Matrix:
        own, k = self.labels, self.k
        now = self._between(self.S, self.N) * (1.0 - np.eye(k))
        less = self._between(self.S[own] - self.A, self.N[own] - self.B) - now[own]
        less[self.tasks, own] = 0.0
        gains = self._joined(now) + less.sum(axis=1)[:, None]
        # The block between the old and the new group changes once, by both what leaves and what joins.
        mine, weight = self.A[self.tasks, own][:, None], self.B[self.tasks, own][:, None]
        both = self._between(self.S[own] - self.A + mine, self.N[own] - self.B + weight) - now[own]
        gains[:, :k] += both - less
        gains[:, k] += self._between(mine, weight)[:, 0]
        return np.asarray(gains)

    def _joined(self, now: Matrix) -> Matrix:
        """Count what blocks of each group with third ones gain when a task joins it, shape (n, k + 1)."""
        own, k, n = self.labels, self.k, self.data.n
        off = np.vstack([1.0 - np.eye(k), np.ones(k)])
        S, N = np.vstack([self.S, np.zeros(k)]) * off, np.vstack([self.N, np.zeros(k)])
        now = np.vstack([now, np.zeros(k)])
        gains = np.empty((n, k + 1))
        if self.data.W is not None:
            for group in range(k + 1):
                joined = self._between(S[group] + self.A, N[group] + self.B) * off[group] - now[group]
                joined[self.tasks, own] = 0.0
                gains[:, group] = joined.sum(axis=1)
            return gains
        # Without weights a task adds the size of a group to every block with it, whichever task it is: the
        # logarithms are shared and the squares are products of matrices.
        shrink = 1.0 + self.fit.kappa * (N + self.size)
        square = off * self.fit.kappa / (2.0 * self.fit.s2 * shrink)
        fixed = -0.5 * off * np.log(shrink) - now
        gains = (self.A * self.A) @ square.T + 2.0 * self.A @ (square * S).T
        gains += (square * S * S + fixed).sum(axis=1)
        mine = self.A[self.tasks, own][:, None]
        return np.asarray(gains - square.T[own] * (S.T[own] + mine) ** 2 - fixed.T[own])

    def doubt(self) -> float:
        """Log of the evidence of the partitions into as many groups around this one, over its own.

        By the candidate's formula p(y) = p(y, z) / p(z | y), the probability of the labels z taken for the
        product over tasks of the probability that each stays when the others do. That is more than they have
        together, so what comes out is on the safe side.
        """
        gains = self._within_k(self.gains())
        gains[self.tasks, self.labels] = 0.0
        return float(np.logaddexp.reduce(gains, axis=1).sum())

    def _within_k(self, gains: Matrix) -> Matrix:
        """Leave out the moves that found a group or end one."""
        gains[:, -1] = -np.inf
        gains[self.size[self.labels] == 1] = -np.inf
        return gains

    def move(self, k_max: int, fixed: bool) -> bool:
        """Make the best moves, several at once where they touch different groups, until none helps."""
        moved = alone = False
        known: set[bytes] = set()
        for _ in range(20 + 2 * self.data.n):
            gains = self.gains()
            if fixed:
                gains = self._within_k(gains)
            elif self.k >= k_max:
                gains[:, -1] = -np.inf
            target = gains.argmax(axis=1)
            value = gains[self.tasks, target]
            order = np.argsort(-value, kind="stable")
            order = order[value[order] > GAIN]
            if not len(order):
                break
            moved = True
            # Moves that gain one by one may lose together, and be made and unmade for ever.
            if self.pairs and not alone:
                alone = (state := self.labels.tobytes()) in known
                known.add(state)
            self._apply(order[:1] if alone else order, target)
        return moved

    def _apply(self, order: Labels, target: Labels) -> None:
        used: set[int] = set()
        emptied = False
        # Means of pairs tie all groups together: few moves at once when little is left to gain.
        for task in order if not self.pairs or len(order) > TOGETHER else order[:1]:
            source, group = int(self.labels[task]), int(target[task])
            if source in used or group in used:
                continue
            used |= {source, group}
            self.labels[task] = group
            emptied |= self.size[source] == 1 or group == self.k
            if not emptied:
                self._shift(int(task), source, group)
        if emptied:
            self.labels = first_appearance(self.labels)
            self.refresh(int(self.labels.max()) + 1)
            return
        for group in used:
            for sums, tasks in ((self.S, self.A), (self.N, self.B)):
                column = np.bincount(self.labels, tasks[:, group], self.k)
                sums[:, group] = sums[group, :] = column

    def _shift(self, task: int, source: int, group: int) -> None:
        """Update the sums of every task when one has moved."""
        column, weight = self.data.residual_column(self.fit, task)
        self.A[:, source] -= column
        self.A[:, group] += column
        self.B[:, source] -= weight
        self.B[:, group] += weight
        self.size[source] -= 1.0
        self.size[group] += 1.0

    def merge_gains(self) -> Matrix:
        """Gain in log evidence of merging pairs of groups, shape (k, k), above the diagonal."""
        S, N = np.diag(self.S) / 2.0, np.diag(self.N) / 2.0
        now = self._inside(S, N)
        gain = self._inside(S[:, None] + S + self.S, N[:, None] + N + self.N)
        gain -= now[:, None] + now
        distinct, where = np.unique(self.size.astype(np.intp), return_inverse=True)
        one, two = distinct[:, None], distinct[None, :]
        gain += change(self.size, [one, two], [one + two])[where[:, None], where]
        if self.pairs:
            between = self._between(self.S, self.N) * (1.0 - np.eye(self.k))
            for a in range(self.k):
                joined = self._between(self.S[a] + self.S, self.N[a] + self.N)
                others = joined - between[a] - between
                others[:, a] = 0.0
                np.fill_diagonal(others, 0.0)
                gain[a] += others.sum(axis=1) - between[a]
        gain[np.tril_indices(self.k)] = -np.inf
        return gain

    def merge(self) -> bool:
        """Merge the pair of groups that gains most, until none does."""
        merged = False
        while self.k > 1:
            gain = self.merge_gains()
            a, b = divmod(int(gain.argmax()), self.k)
            if not gain[a, b] > GAIN:
                break
            merged = True
            self.labels[self.labels == b] = a
            self.labels = first_appearance(self.labels)
            self.refresh(int(self.labels.max()) + 1)
        return merged
