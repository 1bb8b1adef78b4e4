"""Improve a partition by moving single tasks and by exchanging pairs of them."""

from __future__ import annotations

import numpy as np

from cotune.grouping._partition import Labels, Matrix, density_sum, first_appearance, indicator

IMPROVEMENT = 1e-10
"""Smallest gain, in units of the scaled objective, that counts as one: below is rounding error."""

MOVES_PER_TASK = 20
"""Rounding errors could in theory let moves go round in circles; this many per task end them."""

FINALISTS = 2
SWAP_LIMIT = 1500
"""Most tasks for which exchanges, whose cost is n^2 each, are tried."""


class _State:
    """A partition with the sums that make the gain of any move O(1).

    ``R[i, a]`` is the affinity of task i to group a, ``q[a]`` the sum of T over group a,
    ``size[a]`` its size.
    """

    def __init__(self, T: Matrix, labels: Labels, n_clusters: int) -> None:
        self.T = T
        self.diagonal = np.diag(T).copy()
        self.labels = labels.copy()
        self.k = n_clusters
        self.tasks = np.arange(len(T))
        self.refresh()

    def refresh(self) -> None:
        V = indicator(self.labels, self.k)
        self.R = self.T @ V
        self.q = np.einsum("ij,ij->j", V, self.R)
        self.size = V.sum(axis=0)

    def move_gains(self) -> Matrix:
        """Gain of moving task i to group b, shape (n, k); -inf where i is the last of its group or in b."""
        own, density = self.labels, self.q / self.size
        at_own = self.tasks * self.k + own
        leave = self.q[own] - 2.0 * self.R.take(at_own) + self.diagonal
        leave /= np.maximum(self.size - 1.0, 1.0)[own]
        leave -= density[own]
        leave[self.size[own] <= 1] = -np.inf
        gains = 2.0 * self.R
        gains += self.diagonal[:, None]
        gains += self.q
        gains /= self.size + 1.0
        gains -= density
        gains += leave[:, None]
        gains.put(at_own, -np.inf)
        return np.asarray(gains)

    def move(self, task: int, group: int) -> None:
        """Move one task and update the sums in O(n)."""
        source = self.labels[task]
        column, own = self.T[:, task], self.diagonal[task]
        self.q[source] += own - 2.0 * self.R[task, source]
        self.q[group] += own + 2.0 * self.R[task, group]
        self.R[:, source] -= column
        self.R[:, group] += column
        self.size[source] -= 1
        self.size[group] += 1
        self.labels[task] = group

    def swap_gains(self) -> Matrix:
        """Gain of exchanging tasks i and j, shape (n, n); the part of i's group plus that of j's group."""
        own = self.labels
        to = self.R[:, own]  # to[i, j]: affinity of i to the group of j
        inside = self.R[self.tasks, own]
        change = (
            self.diagonal[:, None]
            + self.diagonal[None, :]
            - 2.0 * inside[:, None]
            - 2.0 * self.T
            + 2.0 * to.T
        )
        change /= self.size[own][:, None]
        gains = change + change.T
        gains[own[:, None] == own[None, :]] = -np.inf
        return np.asarray(gains)


def _move_many(state: _State) -> None:
    """Move every task to its best group at once, as Lloyd's iteration does, while the objective rises."""
    value = float(np.sum(state.q / state.size))
    while True:
        before = state.labels.copy()
        gains = state.move_gains()
        target = gains.argmax(axis=1)
        wants = gains[state.tasks, target] > IMPROVEMENT
        if np.count_nonzero(wants) < 3:
            return
        state.labels = np.where(wants, target, state.labels)
        full = np.bincount(state.labels, minlength=state.k).all()
        if full:
            state.refresh()
        if not full or float(np.sum(state.q / state.size)) <= value + IMPROVEMENT:
            state.labels = before
            state.refresh()
            return
        value = float(np.sum(state.q / state.size))


def _move_singly(state: _State) -> None:
    """Make the best single move until none helps."""
    for _ in range(MOVES_PER_TASK * len(state.T)):
        gains = state.move_gains()
        task, group = divmod(int(gains.argmax()), state.k)
        if not gains[task, group] > IMPROVEMENT:
            return
        state.move(task, group)


def _swap(state: _State) -> None:
    """Make the best exchange, and the moves that it opens, until none helps."""
    n = len(state.T)
    for _ in range(MOVES_PER_TASK * n):
        gains = state.swap_gains()
        first, second = divmod(int(gains.argmax()), n)
        if not gains[first, second] > IMPROVEMENT:
            return
        there, back = int(state.labels[second]), int(state.labels[first])
        state.move(first, there)
        state.move(second, back)
        _move_singly(state)


def improve(T: Matrix, labels: Labels, n_clusters: int, *, swaps: bool = True) -> Labels:
    """Return a partition that no single move, and no exchange of two tasks, improves.

    Parameters
    ----------
    T : ndarray of shape (n, n)
        Symmetric affinities, scaled so that entries are of order one.
    labels : ndarray of shape (n,)
        A partition into exactly ``n_clusters`` non-empty groups, numbered from 0.
    n_clusters : int
        Number of groups, kept.
    swaps : bool
        Whether to exchange pairs when single moves are exhausted (skipped above ``SWAP_LIMIT`` tasks).

    Returns
    -------
    ndarray of shape (n,)
        A partition into the same number of groups whose density sum is at least that of ``labels``.
    """
    if n_clusters in (1, len(T)):
        return labels.copy()
    state = _State(T, labels, n_clusters)
    _move_many(state)
    _move_singly(state)
    if swaps and len(T) <= SWAP_LIMIT:
        _swap(state)
    return state.labels


def best_of(T: Matrix, candidates: list[Labels], n_clusters: int) -> tuple[float, Labels]:
    """Improve candidate partitions and return the best as (density sum, labels).

    Single moves are made in all, exchanges only in the ``FINALISTS`` best of what they lead to.
    """
    moved: dict[bytes, tuple[float, Labels]] = {}
    different = {labels.tobytes(): labels for labels in map(first_appearance, candidates)}
    for candidate in different.values():
        labels = first_appearance(improve(T, candidate, n_clusters, swaps=False))
        if labels.tobytes() not in moved:
            moved[labels.tobytes()] = (density_sum(T, labels, n_clusters), labels)
    finalists = sorted(moved.values(), key=lambda entry: -entry[0])[:FINALISTS]
    best_value, best = finalists[0]
    for _, labels in finalists:
        swapped = improve(T, labels, n_clusters)
        value = density_sum(T, swapped, n_clusters)
        if value > best_value:
            best_value, best = value, swapped
    return best_value, best
